#include "runtime/tokenizer/byte_level.h"

#include <array>
#include <cstdint>

#include "runtime/tokenizer/unicode.h"

namespace sterna::runtime::tokenization {

namespace {

constexpr std::size_t kEnd = 0x100 + 68;  // one past the last character used

constexpr bool stands_for_itself(std::uint32_t byte) {
  return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
}

struct Alphabet {
  std::array<std::uint16_t, 256> character{};
  std::array<std::int16_t, kEnd> byte{};  // -1: not in the alphabet
};

constexpr Alphabet make_alphabet() {
  Alphabet alphabet;
  for (auto& byte : alphabet.byte) byte = -1;
  std::uint32_t next = 0x100;
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    const std::uint32_t character = stands_for_itself(byte) ? byte : next++;
    alphabet.character[byte] = static_cast<std::uint16_t>(character);
    alphabet.byte[character] = static_cast<std::int16_t>(byte);
  }
  return alphabet;
}

constexpr Alphabet kAlphabet = make_alphabet();

}  // namespace

void append_byte_characters(std::string& out, std::string_view bytes) {
  for (const char c : bytes) {
    const std::uint16_t character = kAlphabet.character[static_cast<std::uint8_t>(c)];
    if (character < 0x80) {
      out += static_cast<char>(character);
    } else {
      out += static_cast<char>(0xC0U | (character >> 6U));
      out += static_cast<char>(0x80U | (character & 0x3FU));
    }
  }
}

void append_token_bytes(std::string& out, std::string_view token) {
  const std::size_t size = out.size();
  for (std::size_t i = 0; i < token.size();) {
    const CodePoint c = code_point_at(token, i);
    i += c.length;
    if (c.value >= kEnd || kAlphabet.byte[c.value] < 0) {
      out.resize(size);
      out += token;
      return;
    }
    out += static_cast<char>(kAlphabet.byte[c.value]);
  }
}

}  // namespace sterna::runtime::tokenization
