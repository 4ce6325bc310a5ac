// 512-bit registers for loops.h; the instruction set is part of the name, so that no file can be linked to
// another one's copy.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/isa.h"

namespace sterna::bench {

template <kernels::Isa isa>
struct Registers512 {
  using R = __m512i;
  using Word = __m512i;
  static constexpr std::size_t kSums = 16;
  static constexpr std::size_t kStepProducts = 64;
  static R zero() { return _mm512_setzero_si512(); }
  static R ones8() { return _mm512_set1_epi8(1); }
  static void hide(R& r) { asm volatile("" : "+v"(r)); }
  static Word zero_word() { return zero(); }
  static Word load(const void* p) { return _mm512_load_si512(p); }
  static Word either(Word a, Word b) { return _mm512_xor_si512(a, b); }
  static std::uint64_t fold(Word word) {
    std::uint64_t parts[8];
    _mm512_storeu_si512(parts, word);
    return parts[0] ^ parts[1] ^ parts[2] ^ parts[3] ^ parts[4] ^ parts[5] ^ parts[6] ^ parts[7];
  }
  static std::uint32_t first(R r) { return static_cast<std::uint32_t>(_mm512_cvtsi512_si32(r)); }
};

}  // namespace sterna::bench
