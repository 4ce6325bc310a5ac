// The lanes in two 256-bit registers.
#pragma once

#include <immintrin.h>

#include "kernels/lanes/simd.h"

namespace sterna::kernels {

template <>
struct XsimdArch<Isa::avx2> {
  using type = xsimd::avx2;
};

template <Isa isa>
struct Avx2LaneOps {
  using F = F32x16<isa>;
  using Batch = typename F::Batch;

  static F load_f16(const Float16Bits* p) {
    const auto* halves = reinterpret_cast<const __m128i*>(p);
    return {{_mm256_cvtph_ps(_mm_loadu_si128(halves)), _mm256_cvtph_ps(_mm_loadu_si128(halves + 1))}};
  }

  static F load_bf16(const BFloat16Bits* p) {
    return F::map([=](std::size_t i) {
      const __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p) + i);
      return Batch(_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16)));
    });
  }

  static F load_i8(const std::int8_t* p) {
    return F::map([=](std::size_t i) {
      const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p + 8 * i));
      return Batch(_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes)));
    });
  }

  static F load_i32(const std::int32_t* p) {
    return F::map([=](std::size_t i) {
      return Batch(_mm256_cvtepi32_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p) + i)));
    });
  }

  static void store_f16(const F& x, Float16Bits* p) {
    auto* halves = reinterpret_cast<__m128i*>(p);
    _mm_storeu_si128(halves, _mm256_cvtps_ph(x.v[0], _MM_FROUND_TO_NEAREST_INT));
    _mm_storeu_si128(halves + 1, _mm256_cvtps_ph(x.v[1], _MM_FROUND_TO_NEAREST_INT));
  }

  static void store_i8(const F& x, std::int8_t* p) {
    const __m256i words = _mm256_packs_epi32(_mm256_cvtps_epi32(x.v[0]), _mm256_cvtps_epi32(x.v[1]));
    const __m256i ordered = _mm256_permute4x64_epi64(words, 0xD8);  // packs works in 128-bit halves
    const __m128i bytes =
        _mm_packs_epi16(_mm256_castsi256_si128(ordered), _mm256_extracti128_si256(ordered, 1));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), bytes);
  }

  static F max_abs(const F& x, const F& y) {
    const __m256i magnitude = _mm256_set1_epi32(kMagnitudeBits);
    const auto bits = [=](__m256 v) { return _mm256_and_si256(_mm256_castps_si256(v), magnitude); };
    return F::map([&](std::size_t i) {
      return Batch(_mm256_castsi256_ps(_mm256_max_epi32(bits(x.v[i]), bits(y.v[i]))));
    });
  }

  static F times_pow2(const F& x, const F& t) {
    const __m256i bias = _mm256_set1_epi32(127);
    const __m256i magic = _mm256_castps_si256(_mm256_set1_ps(kRoundingMagic));
    return F::map([&](std::size_t i) {
      const __m256i n = _mm256_sub_epi32(_mm256_castps_si256(t.v[i]), magic);
      const __m256i half = _mm256_srai_epi32(n, 1);
      const __m256i rest = _mm256_sub_epi32(n, half);
      return x.v[i] * Batch(_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(half, bias), 23))) *
             Batch(_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(rest, bias), 23)));
    });
  }

  // The upper of two lanes adds its negative to the other: a - b, with the same rounding.
  template <std::size_t stride>
  static F butterfly(const F& x) {
    if constexpr (stride == 8) return {{x.v[0] + x.v[1], x.v[0] - x.v[1]}};
    constexpr int kSign = INT32_MIN;
    constexpr int a = stride == 1 ? kSign : 0;
    constexpr int b = stride == 2 ? kSign : 0;
    constexpr int c = stride == 4 ? kSign : 0;
    const __m256 upper = _mm256_castsi256_ps(_mm256_setr_epi32(0, a, b, a | b, c, a | c, b | c, a | b | c));
    return F::map([&](std::size_t i) {
      const __m256 y = x.v[i];
      const __m256 other = stride == 4   ? _mm256_permute2f128_ps(y, y, 0x01)
                           : stride == 2 ? _mm256_permute_ps(y, 0x4E)
                                         : _mm256_permute_ps(y, 0xB1);
      return Batch(_mm256_add_ps(other, _mm256_xor_ps(y, upper)));
    });
  }

  static float sum(const F& x) {
    const __m256 eight = _mm256_add_ps(x.v[0], x.v[1]);
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
  }

  static void sums(const F* x, float* out) {
    const auto eight = [](const F& y) { return _mm256_add_ps(y.v[0], y.v[1]); };
    const auto four = [](__m256 y, __m256 z) {  // four lanes of each
      return _mm256_add_ps(_mm256_permute2f128_ps(y, z, 0x20), _mm256_permute2f128_ps(y, z, 0x31));
    };
    const __m256 ab = four(eight(x[0]), eight(x[1]));
    const __m256 cd = four(eight(x[2]), eight(x[3]));
    const __m256 two = _mm256_add_ps(_mm256_shuffle_ps(ab, cd, 0x44), _mm256_shuffle_ps(ab, cd, 0xEE));
    const __m256 one = _mm256_add_ps(two, _mm256_permute_ps(two, 0xB1));  // a a c c b b d d
    _mm_storeu_ps(out, _mm_unpacklo_ps(_mm_permute_ps(_mm256_castps256_ps128(one), 0x08),
                                       _mm_permute_ps(_mm256_extractf128_ps(one, 1), 0x08)));
  }

  using Bytes = __m256i;
  using Totals = __m256i;
  using Factor = std::int16_t;
  static constexpr std::size_t kBytes = 16;
  static constexpr std::int32_t kOffset = 0;
  static Totals first_totals(std::int32_t n) { return _mm256_zextsi128_si256(_mm_cvtsi32_si128(n)); }
  static Bytes load_bytes(const std::int8_t* p) {
    return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static Totals add_products(Totals totals, Bytes x, const Factor* y) {
    const __m256i factors = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(y));
    return _mm256_add_epi32(totals, _mm256_madd_epi16(x, factors));
  }
  static void store_totals(const Totals* t, std::int32_t* out) {
    const __m256i four = _mm256_hadd_epi32(_mm256_hadd_epi32(t[0], t[1]), _mm256_hadd_epi32(t[2], t[3]));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out),
                     _mm_add_epi32(_mm256_castsi256_si128(four), _mm256_extracti128_si256(four, 1)));
  }

  static float maximum(const F& x) {  // maxps is a > b ? a : b
    const __m256 eight = _mm256_max_ps(x.v[0], x.v[1]);
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
  }
};

template <>
struct LaneOps<Isa::avx2> : Avx2LaneOps<Isa::avx2> {};

}  // namespace sterna::kernels
