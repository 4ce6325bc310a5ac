#pragma once

#include <immintrin.h>

#include "kernels/split_row/codes.h"

namespace sterna::kernels {

template <Isa isa>
struct SplitOps512 {
  static constexpr std::size_t kBytes = 64;
  using Words = CodeTypes<kBytes>::Words;
  [[gnu::always_inline]] static Words repeat(const std::uint8_t* p) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return reinterpret_cast<Words>(_mm512_broadcast_i32x4(bytes));
  }
};

template <>
struct SplitOps<Isa::avx512> : SplitOps512<Isa::avx512> {};

}  // namespace sterna::kernels
