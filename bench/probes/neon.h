// 128-bit registers for loops.h; the instruction set is part of the name, so that no file can be linked to
// another one's copy.
#pragma once

#include <arm_neon.h>

#include <cstddef>
#include <cstdint>

#include "kernels/isa.h"

namespace sterna::bench {

template <kernels::Isa isa>
struct NeonRegisters {
  using Word = uint8x16_t;
  static constexpr std::size_t kSums = 16;
  static Word zero_word() { return vdupq_n_u8(0); }
  static Word load(const void* p) { return vld1q_u8(static_cast<const std::uint8_t*>(p)); }
  static Word either(Word a, Word b) { return veorq_u8(a, b); }
  static std::uint64_t fold(Word word) {
    const uint64x2_t parts = vreinterpretq_u64_u8(word);
    return vgetq_lane_u64(parts, 0) ^ vgetq_lane_u64(parts, 1);
  }
};

// Sums of four int32; their operands are bytes in the same registers.
template <kernels::Isa isa>
struct NeonRegisters32 : NeonRegisters<isa> {
  using R = int32x4_t;
  static constexpr std::uint32_t kSumsMask = 0xFFFFFFFF;
  static R zero() { return vdupq_n_s32(0); }
  static R ones8() { return vreinterpretq_s32_s8(vdupq_n_s8(1)); }
  static void hide(R& r) { asm volatile("" : "+w"(r)); }
  static R add(R a, R b) { return vaddq_s32(a, b); }
  static std::uint32_t first(R r) { return static_cast<std::uint32_t>(vgetq_lane_s32(r, 0)); }
};

}  // namespace sterna::bench
