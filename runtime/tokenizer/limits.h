#pragma once

#include <cstddef>

namespace sterna::runtime::tokenization {

// A text to encode, in bytes, as it comes and after every step. Encoding takes up to a hundred bytes of
// memory for each; and steps that lengthen a text could otherwise be chained until no memory is left.
inline constexpr std::size_t kLongestText = std::size_t{1} << 26U;

}  // namespace sterna::runtime::tokenization
