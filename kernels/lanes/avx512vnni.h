// The lanes of AVX-512, compiled for AVX-512 VNNI.
#pragma once

#include "kernels/lanes/avx512.h"

namespace sterna::kernels {

template <>
struct XsimdArch<Isa::avx512vnni> {
  using type = xsimd::avx512f;
};

template <>
struct LaneOps<Isa::avx512vnni> : Avx512LaneOps<Isa::avx512vnni> {
  using Factor = std::int8_t;
  static constexpr std::size_t kBytes = 64;
  static constexpr std::int32_t kOffset = 128;
  static Bytes load_bytes(const std::int8_t* p) {
    return _mm512_xor_si512(_mm512_loadu_si512(p), _mm512_set1_epi8(-128));
  }
  static Totals add_products(Totals totals, Bytes x, const Factor* y) {
    return _mm512_dpbusd_epi32(totals, x, _mm512_loadu_si512(y));
  }
};

}  // namespace sterna::kernels
