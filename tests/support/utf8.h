#pragma once

#include <cstddef>
#include <string_view>

namespace sterna::testing {

// The first n code points of valid UTF-8.
inline std::string_view first_characters(std::string_view text, std::size_t n) {
  std::size_t at = 0;
  for (; at < text.size(); ++at) {
    const bool starts = (static_cast<unsigned char>(text[at]) & 0xC0U) != 0x80U;
    if (starts && n-- == 0) break;
  }
  return text.substr(0, at);
}

}  // namespace sterna::testing
