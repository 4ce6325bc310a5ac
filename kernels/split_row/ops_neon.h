#pragma once

#include "kernels/split_row/codes.h"

namespace sterna::kernels {

template <>
struct SplitOps<Isa::neon> {
  static constexpr std::size_t kBytes = 16;
  using Words = CodeTypes<kBytes>::Words;
  [[gnu::always_inline]] static Words repeat(const std::uint8_t* p) {
    Words words;
    __builtin_memcpy(&words, p, sizeof words);
    return words;
  }
};

}  // namespace sterna::kernels
