// The product with FEAT_DotProd: sdot sums four s8 x s8 products of each 32-bit lane. In two-bit codes lane f
// of the 16 activations of a tile belongs to field f, so one load serves a tile.
#pragma once

#include "kernels/ternary_matmul/neon_quads.h"

namespace sterna::kernels {

template <Isa isa>
struct NeonDotTiles {
  using Q = NeonQuads<isa>;
  template <class C>
  static constexpr std::size_t kRunTiles = 1024;

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

  // Joined codes, `quads` quads: two with 8 tokens are 16 accumulators, beside 8 fields.
  template <class C, std::size_t quads, std::size_t tokens>
  static void run_quads(const TileRun& run, const std::int8_t* q, std::size_t q_stride, std::int32_t* d) {
    int32x4_t sums[quads][tokens];
    unrolled<quads * tokens>([&](auto n) __attribute__((always_inline)) {
      sums[n / tokens][n % tokens] = vld1q_s32(d + n % tokens * kTileRows + n / tokens * kQuadRows);
    });
    for (std::size_t i = 0; i < run.tiles; ++i) {
      const std::uint8_t* tile = run.codes + i * C::kBytes;
      int8x16_t fields[quads][C::kFields];
      unrolled<quads>([&](auto k) __attribute__((always_inline)) {
        Q::template split_codes<C>(tile + k * kQuadBytes, fields[k]);
      });
      unrolled<tokens>([&](auto t) __attribute__((always_inline)) {
        const std::int8_t* x = q + t * q_stride + i * C::kColumns;
        unrolled<C::kFields>([&](auto f) __attribute__((always_inline)) {
          const int8x16_t four = Q::broadcast4(x + 4 * f);
          unrolled<quads>([&](auto k) __attribute__((always_inline)) {
            sums[k][t] = vdotq_s32(sums[k][t], fields[k][f], four);
          });
        });
      });
    }
    unrolled<quads * tokens>([&](auto n) __attribute__((always_inline)) {
      vst1q_s32(d + n % tokens * kTileRows + n / tokens * kQuadRows, sums[n / tokens][n % tokens]);
    });
  }

  template <class C, std::size_t blocks, std::size_t tokens>
  static void accumulate(const TileRun& run, const std::int8_t* q, std::size_t q_stride, std::int32_t* d) {
    if constexpr (tokens == 1 && C::kTwoBits) {
      unrolled<C::kPlanes>([&](auto plane) __attribute__((always_inline)) {
        const TileRun of_plane{run.codes + plane * kTileBytes, run.tiles, run.block_bytes};
        run_plane<plane_weight(C::kPlanes, plane)>(of_plane, C::kBytes, q, d);
      });
    } else {
      constexpr std::size_t quads = tokens == 1 ? 1 : 2;
      for (std::size_t k = 0; k < kQuads; k += quads) {
        const TileRun rows{run.codes + k * kQuadBytes, run.tiles, run.block_bytes};
        run_quads<C, quads, tokens>(rows, q, q_stride, d + k * kQuadRows);
      }
    }
  }
};

}  // namespace sterna::kernels
