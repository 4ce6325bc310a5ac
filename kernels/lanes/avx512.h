// The lanes in one 512-bit register.
#pragma once

#include <immintrin.h>

#include "kernels/lanes/simd.h"

namespace sterna::kernels {

template <>
struct XsimdArch<Isa::avx512> {
  using type = xsimd::avx512f;
};

template <Isa isa>
struct Avx512LaneOps {
  using F = F32x16<isa>;
  using Batch = typename F::Batch;

  static F load_f16(const Float16Bits* p) {
    return {{_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))}};
  }

  static F load_bf16(const BFloat16Bits* p) {
    const __m256i halves = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    return {{_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16))}};
  }

  static F load_i8(const std::int8_t* p) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return {{_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes))}};
  }

  static F load_i32(const std::int32_t* p) { return {{_mm512_cvtepi32_ps(_mm512_loadu_si512(p))}}; }

  static void store_f16(const F& x, Float16Bits* p) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtps_ph(x.v[0], _MM_FROUND_TO_NEAREST_INT));
  }

  static void store_i8(const F& x, std::int8_t* p) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(x.v[0])));
  }

  static F max_abs(const F& x, const F& y) {
    const __m512i magnitude = _mm512_set1_epi32(kMagnitudeBits);
    const auto bits = [=](__m512 v) { return _mm512_and_si512(_mm512_castps_si512(v), magnitude); };
    return {{_mm512_castsi512_ps(_mm512_max_epi32(bits(x.v[0]), bits(y.v[0])))}};
  }

  static F times_pow2(const F& x, const F& t) {
    const __m512i bias = _mm512_set1_epi32(127);
    const __m512i magic = _mm512_castps_si512(_mm512_set1_ps(kRoundingMagic));
    const __m512i n = _mm512_sub_epi32(_mm512_castps_si512(t.v[0]), magic);
    const __m512i half = _mm512_srai_epi32(n, 1);
    const __m512i rest = _mm512_sub_epi32(n, half);
    return {{x.v[0] * Batch(_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_add_epi32(half, bias), 23))) *
             Batch(_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_add_epi32(rest, bias), 23)))}};
  }

  template <std::size_t stride>
  static F butterfly(const F& x) {
    constexpr __mmask16 kUpper = stride == 8 ? 0xFF00 : stride == 4 ? 0xF0F0 : stride == 2 ? 0xCCCC : 0xAAAA;
    const __m512 y = x.v[0];
    const __m512 other = stride == 8   ? _mm512_shuffle_f32x4(y, y, 0x4E)
                         : stride == 4 ? _mm512_shuffle_f32x4(y, y, 0xB1)
                         : stride == 2 ? _mm512_permute_ps(y, 0x4E)
                                       : _mm512_permute_ps(y, 0xB1);
    return {{_mm512_mask_sub_ps(_mm512_add_ps(y, other), kUpper, other, y)}};
  }

  static float sum(const F& x) {
    const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(x.v[0]), _mm512_extractf32x8_ps(x.v[0], 1));
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
  }

  static void sums(const F* x, float* out) {
    const __m512 ab = halves_added<0x44, 0xEE>(x[0].v[0], x[1].v[0]);  // 8 lanes of each
    const __m512 cd = halves_added<0x44, 0xEE>(x[2].v[0], x[3].v[0]);
    const __m512 four = halves_added<0x88, 0xDD>(ab, cd);  // 4 lanes of each of the four
    const __m512 two = _mm512_add_ps(four, _mm512_permute_ps(four, 0x4E));
    const __m512 one = _mm512_add_ps(two, _mm512_permute_ps(two, 0xB1));
    const __m512i first = _mm512_setr_epi32(0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12);
    _mm_storeu_ps(out, _mm512_castps512_ps128(_mm512_permutexvar_ps(first, one)));
  }

  template <int low, int high>
  static __m512 halves_added(__m512 x, __m512 y) {
    return _mm512_add_ps(_mm512_shuffle_f32x4(x, y, low), _mm512_shuffle_f32x4(x, y, high));
  }

  using Bytes = __m512i;
  using Totals = __m512i;
  using Factor = std::int16_t;
  static constexpr std::size_t kBytes = 32;
  static constexpr std::int32_t kOffset = 0;
  static Totals first_totals(std::int32_t n) { return _mm512_zextsi128_si512(_mm_cvtsi32_si128(n)); }
  static Bytes load_bytes(const std::int8_t* p) {
    return _mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  static Totals add_products(Totals totals, Bytes x, const Factor* y) {
    return _mm512_add_epi32(totals, _mm512_madd_epi16(x, _mm512_loadu_si512(y)));
  }
  static void store_totals(const Totals* t, std::int32_t* out) {  // as sums() does
    const __m512i ab = halves_added_i32<0x44, 0xEE>(t[0], t[1]);
    const __m512i cd = halves_added_i32<0x44, 0xEE>(t[2], t[3]);
    const __m512i four = halves_added_i32<0x88, 0xDD>(ab, cd);
    const __m512i two = _mm512_add_epi32(four, _mm512_shuffle_epi32(four, _MM_PERM_BADC));
    const __m512i one = _mm512_add_epi32(two, _mm512_shuffle_epi32(two, _MM_PERM_CDAB));
    const __m512i first = _mm512_setr_epi32(0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out),
                     _mm512_castsi512_si128(_mm512_permutexvar_epi32(first, one)));
  }

  template <int low, int high>
  static __m512i halves_added_i32(__m512i x, __m512i y) {
    return _mm512_add_epi32(_mm512_shuffle_i32x4(x, y, low), _mm512_shuffle_i32x4(x, y, high));
  }

  static float maximum(const F& x) {  // maxps is a > b ? a : b
    const __m256 eight = _mm256_max_ps(_mm512_castps512_ps256(x.v[0]), _mm512_extractf32x8_ps(x.v[0], 1));
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
  }
};

template <>
struct LaneOps<Isa::avx512> : Avx512LaneOps<Isa::avx512> {};

}  // namespace sterna::kernels
