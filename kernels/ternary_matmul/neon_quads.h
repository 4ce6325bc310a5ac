// Codes on NEON: a register is four rows ("quad") with four columns each, a quarter of what a tile's 64 bytes
// hold.
#pragma once

#include <arm_neon.h>

#include "kernels/ternary_matmul/generic.h"

namespace sterna::kernels {

inline constexpr std::size_t kQuadRows = 4;
inline constexpr std::size_t kQuadBytes = 16;
inline constexpr std::size_t kQuads = kTileRows / kQuadRows;

template <Isa isa>
struct NeonQuads {
  // fields[f] = the codes of columns 4f .. 4f+3
  [[gnu::always_inline]] static void split(const std::uint8_t* quad, int8x16_t (&fields)[4]) {
    const uint8x16_t codes = vld1q_u8(quad);
    const uint8x16_t low = vdupq_n_u8(3);
    fields[0] = vreinterpretq_s8_u8(vandq_u8(codes, low));
    fields[1] = vreinterpretq_s8_u8(vandq_u8(vshrq_n_u8(codes, 2), low));
    fields[2] = vreinterpretq_s8_u8(vandq_u8(vshrq_n_u8(codes, 4), low));
    fields[3] = vreinterpretq_s8_u8(vshrq_n_u8(codes, 6));
  }

  // Planes joined to codes of 0 .. 2, 0 .. 8 or 0 .. 26.
  template <std::size_t planes>
  [[gnu::always_inline]] static void split_joined(const std::uint8_t* quad, int8x16_t (&fields)[4]) {
    split(quad, fields);
    if constexpr (planes > 1) {
      unrolled<planes - 1>([&](auto plane) __attribute__((always_inline)) {
        int8x16_t next[4];
        split(quad + (plane + 1) * kTileBytes, next);
        unrolled<4>([&](auto f) __attribute__((always_inline)) {
          fields[f] = vmlaq_s8(next[f], fields[f], vdupq_n_s8(3));
        });
      });
    }
  }

  // x mod n for x < 3 n, and minus the quotient: two comparisons, and one multiply-add.
  template <std::uint8_t n>
  [[gnu::always_inline]] static uint8x16_t remainder(uint8x16_t x, int8x16_t& minus_quotient) {
    const uint8x16_t minus = vaddq_u8(vcgeq_u8(x, vdupq_n_u8(n)), vcgeq_u8(x, vdupq_n_u8(2 * n)));
    minus_quotient = vreinterpretq_s8_u8(minus);
    return vmlaq_u8(x, minus, vdupq_n_u8(n));
  }

  // The last three base-3 digits of 0 .. 26.
  static constexpr std::uint8_t kDigits[3][32] = {
      {0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2},
      {0, 0, 0, 1, 1, 1, 2, 2, 2, 0, 0, 0, 1, 1, 1, 2, 2, 2, 0, 0, 0, 1, 1, 1, 2, 2, 2},
      {0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2}};

  // Five trits of a byte: 81 and 27 by comparisons, the other three by tables of 27 entries. 13 operations.
  [[gnu::always_inline]] static void split_base3(const std::uint8_t* quad, int8x16_t (&fields)[5]) {
    int8x16_t minus[2];
    const uint8x16_t r = remainder<81>(vld1q_u8(quad), minus[1]);
    const uint8x16_t s = remainder<27>(r, minus[0]);
    unrolled<3>([&](auto f) __attribute__((always_inline)) {
      const uint8x16x2_t table = {{vld1q_u8(kDigits[f]), vld1q_u8(kDigits[f] + 16)}};
      fields[f] = vreinterpretq_s8_u8(vqtbl2q_u8(table, s));
    });
    fields[3] = vnegq_s8(minus[0]);
    fields[4] = vnegq_s8(minus[1]);
  }

  // Registers of folded planes, two fields each.
  template <std::size_t registers>
  [[gnu::always_inline]] static void split_nibbles(const std::uint8_t* quad,
                                                   int8x16_t (&fields)[2 * registers]) {
    unrolled<registers>([&](auto h) __attribute__((always_inline)) {
      const uint8x16_t codes = vld1q_u8(quad + h * kTileBytes);
      fields[2 * h] = vreinterpretq_s8_u8(vandq_u8(codes, vdupq_n_u8(15)));
      fields[2 * h + 1] = vreinterpretq_s8_u8(vshrq_n_u8(codes, 4));
    });
  }

  [[gnu::always_inline]] static void split_triples(const std::uint8_t* quad, int8x16_t (&fields)[8]) {
    split_nibbles<4>(quad, fields);
    const uint8x16_t bits = vld1q_u8(quad + 4 * kTileBytes);
    unrolled<8>([&](auto f) __attribute__((always_inline)) {
      const uint8x16_t set = vtstq_u8(bits, vdupq_n_u8(1 << f));
      fields[f] = vorrq_s8(fields[f], vreinterpretq_s8_u8(vandq_u8(set, vdupq_n_u8(16))));
    });
  }

  template <class C>
  [[gnu::always_inline]] static void split_codes(const std::uint8_t* quad, int8x16_t (&fields)[C::kFields]) {
    if constexpr (C::kForm == CodeForm::base3) split_base3(quad, fields);
    if constexpr (C::kForm == CodeForm::trit2) split_joined<C::kPlanes>(quad, fields);
    if constexpr (C::kForm == CodeForm::pairs) split_nibbles<2>(quad, fields);
    if constexpr (C::kForm == CodeForm::triples) split_triples(quad, fields);
  }

  // Four activations, four times.
  [[gnu::always_inline]] static int8x16_t broadcast4(const std::int8_t* q) {
    std::int32_t four = 0;
    __builtin_memcpy(&four, q, sizeof four);
    return vreinterpretq_s8_s32(vdupq_n_s32(four));
  }

  template <std::int32_t weight>
  [[gnu::always_inline]] static void add_to(std::int32_t* d, int32x4_t x) {
    vst1q_s32(d, vmlaq_n_s32(vld1q_s32(d), x, weight));
  }
};

}  // namespace sterna::kernels
