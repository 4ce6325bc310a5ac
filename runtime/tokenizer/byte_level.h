// The alphabet of byte-level BPE (GPT-2): every byte has a printable character. Bytes 33..126, 161..172 and
// 174..255 stand for themselves; the other 68, in ascending order, are U+0100, U+0101, ...
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace sterna::runtime::tokenization {

// Appends the characters of the bytes.
void append_byte_characters(std::string& out, std::string_view bytes);

// Appends the bytes that the characters of a token (valid UTF-8) stand for; a token with any other character
// is text that was never byte-level (an added token) and is appended as it is.
void append_token_bytes(std::string& out, std::string_view token);

}  // namespace sterna::runtime::tokenization
