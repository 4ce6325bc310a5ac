// The product with FEAT_DotProd: sdot sums four s8 x s8 products of each 32-bit lane. A register of codes is
// four rows ("quad"), and lane f of the 16 activations of a tile belongs to field f, so one load serves a
// tile.
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

  template <std::int32_t weight>
  [[gnu::always_inline]] static void add_to(std::int32_t* d, int32x4_t x) {
    vst1q_s32(d, vmlaq_n_s32(vld1q_s32(d), x, weight));
  }
};

template <Isa isa>
struct NeonDotTiles {
  using Q = NeonQuads<isa>;
  static constexpr std::size_t kRunGroups = 128;

  // One token and plane. Fields are masked in place, so they are 1, 4 and 16 times their codes, with
  // accumulators of their own; the last one is shifted, since 64 times 2 is no int8: 3 ands, 1 shift and 4
  // products for a register of codes.
  template <std::int32_t weight>
  static void run_plane(const TileRun& run, std::size_t tile_stride, const std::int8_t* q, std::int32_t* d) {
    int32x4_t sums[kQuads][3];
    unrolled<kQuads * 3>([&](auto n) __attribute__((always_inline)) { sums[n / 3][n % 3] = vdupq_n_s32(0); });
    for (std::size_t i = 0; i < run.tiles; ++i) {
      const int8x16_t x = vld1q_s8(q + i * kTileColumns);
      unrolled<kQuads>([&](auto k) __attribute__((always_inline)) {
        const uint8x16_t codes = vld1q_u8(run.codes + i * tile_stride + k * kQuadBytes);
        unrolled<3>([&](auto f) __attribute__((always_inline)) {
          constexpr int lane = f;
          const uint8x16_t mask = vdupq_n_u8(3 << 2 * lane);
          sums[k][f] = vdotq_laneq_s32(sums[k][f], vreinterpretq_s8_u8(vandq_u8(codes, mask)), x, lane);
        });
        sums[k][0] = vdotq_laneq_s32(sums[k][0], vreinterpretq_s8_u8(vshrq_n_u8(codes, 6)), x, 3);
      });
    }
    unrolled<kQuads>([&](auto k) __attribute__((always_inline)) {
      const int32x4_t upper = vaddq_s32(sums[k][1], vshrq_n_s32(sums[k][2], 2));
      Q::template add_to<weight>(d + k * kQuadRows, vaddq_s32(sums[k][0], vshrq_n_s32(upper, 2)));
    });
  }

  // Several tokens, two quads: 8 tokens are 16 accumulators, beside 8 fields.
  template <std::size_t planes, std::size_t tokens>
  static void run_quads(const TileRun& run, const std::int8_t* q, std::size_t q_stride, std::int32_t* d) {
    int32x4_t sums[2][tokens];
    unrolled<2 * tokens>([&](auto n) __attribute__((always_inline)) {
      sums[n / tokens][n % tokens] = vld1q_s32(d + n % tokens * kTileRows + n / tokens * kQuadRows);
    });
    for (std::size_t i = 0; i < run.tiles; ++i) {
      const std::uint8_t* tile = run.codes + i * planes * kTileBytes;
      int8x16_t fields[2][4];
      Q::template split_joined<planes>(tile, fields[0]);
      Q::template split_joined<planes>(tile + kQuadBytes, fields[1]);
      unrolled<tokens>([&](auto t) __attribute__((always_inline)) {
        const int8x16_t x = vld1q_s8(q + t * q_stride + i * kTileColumns);
        unrolled<8>([&](auto n) __attribute__((always_inline)) {
          constexpr std::size_t k = n / 4;
          constexpr int lane = n % 4;
          sums[k][t] = vdotq_laneq_s32(sums[k][t], fields[k][lane], x, lane);
        });
      });
    }
    unrolled<2 * tokens>([&](auto n) __attribute__((always_inline)) {
      vst1q_s32(d + n % tokens * kTileRows + n / tokens * kQuadRows, sums[n / tokens][n % tokens]);
    });
  }

  template <std::size_t planes, std::size_t blocks, std::size_t tokens>
  static void accumulate(const TileRun& run, const std::int8_t* q, std::size_t q_stride, std::int32_t* d) {
    if constexpr (tokens == 1) {
      unrolled<planes>([&](auto plane) __attribute__((always_inline)) {
        const TileRun of_plane{run.codes + plane * kTileBytes, run.tiles, run.block_bytes};
        run_plane<plane_weight(planes, plane)>(of_plane, planes * kTileBytes, q, d);
      });
    } else {
      for (std::size_t k = 0; k < kQuads; k += 2) {
        const TileRun rows{run.codes + k * kQuadBytes, run.tiles, run.block_bytes};
        run_quads<planes, tokens>(rows, q, q_stride, d + k * kQuadRows);
      }
    }
  }
};

}  // namespace sterna::kernels
