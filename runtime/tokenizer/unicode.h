// UTF-8 and the few Unicode properties that tokenizers ask for. Source of the properties: utf8proc's tables.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace sterna::runtime::tokenization {

struct CodePoint {
  char32_t value = 0;
  std::size_t length = 0;  // bytes in UTF-8, 1..4
};

// The code point that starts at, or ends before, a byte position. `text` must be valid UTF-8 and the position
// a character border with a character behind (before) it.
CodePoint code_point_at(std::string_view text, std::size_t position);
CodePoint code_point_before(std::string_view text, std::size_t end);
void append_utf8(std::string& out, char32_t code_point);

bool is_valid_utf8(std::string_view bytes);

// UTF-8 with one U+FFFD for every maximal ill-formed part (Unicode standard 3.9, the practice of the WHATWG
// decoder and of Rust's lossy conversion). Bytes may come in any portions: a character cut in two waits for
// its rest.
class LossyUtf8 {
 public:
  void push(std::string_view bytes, std::string& out);
  void finish(std::string& out);  // what still waits was cut short: one U+FFFD

 private:
  void start(std::uint8_t byte, std::string& out);

  std::array<char, 4> pending_{};
  std::uint8_t size_ = 0;
  std::uint8_t needed_ = 0;  // continuation bytes still to come
  std::uint8_t lower_ = 0x80, upper_ = 0xBF;
};

std::string to_valid_utf8(std::string_view bytes);

bool is_white_space(char32_t c);  // the property White_Space
bool is_numeric(char32_t c);      // categories Nd, Nl, No
bool is_punctuation(char32_t c);  // ASCII punctuation and symbols, and categories P*
bool is_word(char32_t c);         // \w of UTS 18: alphabetic, mark, decimal digit, connector, join control

std::string to_lower(std::string_view text);  // character by character, as str.lower() without context rules

enum class NormalForm { kNfc, kNfd, kNfkc, kNfkd };
std::string to_normal_form(std::string_view text, NormalForm form);

}  // namespace sterna::runtime::tokenization
