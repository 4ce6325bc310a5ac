// UTF-8 and the character classes of Python's str, as far as chat templates can observe them. Every function
// that takes text expects valid UTF-8 (invalid_utf8_offset() is the check at the border).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace sterna::runtime::jinja {

// Offset of the first byte that is not part of a well-formed code point; npos when all is well.
[[nodiscard]] std::size_t invalid_utf8_offset(std::string_view text);

// The code point at `position`, which moves behind it.
char32_t decode(std::string_view text, std::size_t& position);
void append_utf8(std::string& out, char32_t code_point);

[[nodiscard]] std::size_t count_code_points(std::string_view text);
// Byte offset of the code point number `index`; text.size() when the text is shorter.
[[nodiscard]] std::size_t byte_offset(std::string_view text, std::size_t index);
// The beginning of a text that may be long, for quoting it in a message.
[[nodiscard]] std::string excerpt(std::string_view text);
// Start of the code point that ends at `position` (position > 0).
[[nodiscard]] std::size_t previous_code_point(std::string_view text, std::size_t position);

[[nodiscard]] bool is_space(char32_t c);       // str.isspace, also \s of re
[[nodiscard]] bool is_line_break(char32_t c);  // str.splitlines
[[nodiscard]] bool is_alpha(char32_t c);
[[nodiscard]] bool is_decimal(char32_t c);
[[nodiscard]] bool is_digit(char32_t c);
[[nodiscard]] bool is_word(char32_t c);  // \w of re
[[nodiscard]] bool is_upper(char32_t c);
[[nodiscard]] bool is_lower(char32_t c);
[[nodiscard]] bool is_title(char32_t c);
[[nodiscard]] bool is_printable(char32_t c);
[[nodiscard]] inline bool is_cased(char32_t c) { return is_upper(c) || is_lower(c) || is_title(c); }

// Full case mappings (Unicode SpecialCasing: one code point may become up to three).
void append_upper(std::string& out, char32_t c);
void append_lower(std::string& out, char32_t c);
void append_title(std::string& out, char32_t c);
// Whether the capital sigma at byte `position` of `text` is the last letter of a word, where its small form
// is U+03C2 and not U+03C3.
[[nodiscard]] bool is_final_sigma(std::string_view text, std::size_t position);

}  // namespace sterna::runtime::jinja
