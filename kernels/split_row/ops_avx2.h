#pragma once

#include <immintrin.h>

#include "kernels/split_row/codes.h"

namespace sterna::kernels {

template <Isa isa>
struct SplitOps256 {
  static constexpr std::size_t kBytes = 32;
  using Words = CodeTypes<kBytes>::Words;
  [[gnu::always_inline]] static Words repeat(const std::uint8_t* p) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return reinterpret_cast<Words>(_mm256_broadcastsi128_si256(bytes));
  }
};

template <>
struct SplitOps<Isa::avx2> : SplitOps256<Isa::avx2> {};

}  // namespace sterna::kernels
