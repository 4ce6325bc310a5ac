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

  static float sum(const F& x) {
    const __m256 eight = _mm256_add_ps(x.v[0], x.v[1]);
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
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
