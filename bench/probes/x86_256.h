// 256-bit registers for loops.h; the instruction set is part of the name, so that no file can be linked to
// another one's copy.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/isa.h"

namespace sterna::bench {

template <kernels::Isa isa>
struct Registers256 {
  using R = __m256i;
  using Word = __m256i;
  static constexpr std::size_t kSums = 10;  // two dot products a cycle, of a latency of five
  static constexpr std::size_t kStepProducts = 32;
  static R zero() { return _mm256_setzero_si256(); }
  static R ones8() { return _mm256_set1_epi8(1); }
  static void hide(R& r) { asm volatile("" : "+x"(r)); }
  static Word zero_word() { return zero(); }
  static Word load(const void* p) { return _mm256_load_si256(static_cast<const __m256i*>(p)); }
  static Word either(Word a, Word b) { return _mm256_xor_si256(a, b); }
  static std::uint64_t fold(Word word) {
    std::uint64_t parts[4];
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(parts), word);
    return parts[0] ^ parts[1] ^ parts[2] ^ parts[3];
  }
  static std::uint32_t first(R r) { return static_cast<std::uint32_t>(_mm256_cvtsi256_si32(r)); }
};

}  // namespace sterna::bench
