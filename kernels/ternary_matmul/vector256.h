// The integer operations of 256-bit registers; the instruction set is part of the name, so that no file can
// be linked to another one's copy.
#pragma once

#include <immintrin.h>

#include "kernels/lanes/lanes.h"

namespace sterna::kernels {

template <Isa isa>
struct Vector256 {
  using R = __m256i;
  static constexpr std::size_t kBytes = 32;

  static R load(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
  static void store(void* p, R x) { _mm256_storeu_si256(static_cast<__m256i*>(p), x); }
  static R set8(int x) { return _mm256_set1_epi8(static_cast<char>(x)); }
  static R broadcast4(const std::int8_t* q) {
    std::int32_t four = 0;
    __builtin_memcpy(&four, q, sizeof four);
    return _mm256_set1_epi32(four);
  }
  static R both(R x, R y) { return _mm256_and_si256(x, y); }
  static R differ(R x, R y) { return _mm256_xor_si256(x, y); }
  static R min8(R x, R y) { return _mm256_min_epu8(x, y); }
  static R sub8(R x, R y) { return _mm256_sub_epi8(x, y); }
  // Sixteen bytes, and table[index % 16] of them; 0 where an index has its highest bit set.
  static R table(const std::uint8_t (&bytes)[16]) {
    return _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes)));
  }
  static R look_up(R table, R index) { return _mm256_shuffle_epi8(table, index); }
  static R add8(R x, R y) { return _mm256_add_epi8(x, y); }
  static R add16(R x, R y) { return _mm256_add_epi16(x, y); }
  static R add32(R x, R y) { return _mm256_add_epi32(x, y); }
  template <int bits>
  static R right(R x) {
    return _mm256_srli_epi16(x, bits);
  }
  template <int bits>
  static R left16(R x) {
    return _mm256_slli_epi16(x, bits);
  }
  template <int bits>
  static R left32(R x) {
    return _mm256_slli_epi32(x, bits);
  }
  template <int bits>
  static R right_signed32(R x) {
    return _mm256_srai_epi32(x, bits);
  }
  static R mul32(R x, std::int32_t factor) { return _mm256_mullo_epi32(x, _mm256_set1_epi32(factor)); }
  static R pairs16(R codes, R x) { return _mm256_maddubs_epi16(codes, x); }
  static R widen(R x) { return _mm256_madd_epi16(x, _mm256_set1_epi16(1)); }
  static constexpr bool kWideTables = false;
#if defined(__AVXVNNI__)
  static R dot(R sums, R codes, R x) { return _mm256_dpbusd_avx_epi32(sums, codes, x); }
#endif
};

}  // namespace sterna::kernels
