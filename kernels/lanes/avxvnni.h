// The lanes of AVX2, compiled for AVX-VNNI.
#pragma once

#include "kernels/lanes/avx2.h"

namespace sterna::kernels {

template <>
struct XsimdArch<Isa::avxvnni> {
  using type = xsimd::avx2;
};

template <>
struct LaneOps<Isa::avxvnni> : Avx2LaneOps<Isa::avxvnni> {
  using Factor = std::int8_t;
  static constexpr std::size_t kBytes = 32;
  static constexpr std::int32_t kOffset = 128;
  static Bytes load_bytes(const std::int8_t* p) {
    return _mm256_xor_si256(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)), _mm256_set1_epi8(-128));
  }
  static Totals add_products(Totals totals, Bytes x, const Factor* y) {
    return _mm256_dpbusd_avx_epi32(totals, x, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(y)));
  }
};

}  // namespace sterna::kernels
