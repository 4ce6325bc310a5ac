#include "kernels/lanes/neon.h"

#include "kernels/ternary_matmul/generic.h"

namespace sterna::kernels {

// Baseline ARMv8.0: widening multiply-adds of codes and activations into int16, two rows of four columns per
// register; the bounds are in ternary_matmul.h. A register of codes is four rows ("quad").
template <>
struct TernaryTiles<Isa::neon> {
  static constexpr std::size_t kRunGroups = 1;
  template <std::size_t planes>
  static constexpr std::size_t kBlocks = 1;
  template <std::size_t planes>
  using Tokens = TokenSteps<4, 1>;
  static constexpr std::size_t kQuadRows = 4;
  static constexpr std::size_t kQuadBytes = 16;

  struct Sums {
    int16x8_t low;   // rows 0 and 1 of the quad, four column classes each
    int16x8_t high;  // rows 2 and 3
  };

  static int8x16_t broadcast4(const std::int8_t* q) {
    std::int32_t four = 0;
    __builtin_memcpy(&four, q, sizeof four);
    return vreinterpretq_s8_s32(vdupq_n_s32(four));
  }

  template <std::int32_t weight>
  static void flush(const Sums& sums, std::int32_t* d) {
    const int32x4_t total = vpaddq_s32(vpaddlq_s16(sums.low), vpaddlq_s16(sums.high));
    vst1q_s32(d, vmlaq_n_s32(vld1q_s32(d), total, weight));
  }

  // `quads` times 4 rows for all tokens; 4 x 1 and 2 x 4 accumulators pairs fill 8 and 16 of 32 registers.
  template <std::size_t tokens, std::size_t quads, std::int32_t weight>
  static void run_rows(const TileRun& run, std::size_t tile_stride, const std::int8_t* q,
                       std::size_t q_stride, std::int32_t* d) {
    const uint8x16_t mask = vdupq_n_u8(3);
    Sums sums[tokens][quads];
    unrolled<tokens * quads>([&](auto i) __attribute__((always_inline)) {
      sums[i / quads][i % quads] = {vdupq_n_s16(0), vdupq_n_s16(0)};
    });
    for (std::size_t i = 0; i < run.tiles; ++i) {
      const std::uint8_t* tile = run.codes + i * tile_stride;
      int8x16_t fields[quads][4];
      unrolled<quads>([&](auto k) __attribute__((always_inline)) {
        const uint8x16_t codes = vld1q_u8(tile + k * kQuadBytes);
        fields[k][0] = vreinterpretq_s8_u8(vandq_u8(codes, mask));
        fields[k][1] = vreinterpretq_s8_u8(vandq_u8(vshrq_n_u8(codes, 2), mask));
        fields[k][2] = vreinterpretq_s8_u8(vandq_u8(vshrq_n_u8(codes, 4), mask));
        fields[k][3] = vreinterpretq_s8_u8(vshrq_n_u8(codes, 6));
      });
      unrolled<tokens * 4>([&](auto n) __attribute__((always_inline)) {
        constexpr std::size_t t = n / 4;
        constexpr std::size_t field = n % 4;
        const int8x16_t x = broadcast4(q + t * q_stride + i * kTileColumns + 4 * field);
        unrolled<quads>([&](auto k) __attribute__((always_inline)) {
          Sums& sum = sums[t][k];
          sum.low = vmlal_s8(sum.low, vget_low_s8(fields[k][field]), vget_low_s8(x));
          sum.high = vmlal_high_s8(sum.high, fields[k][field], x);
        });
      });
    }
    unrolled<tokens * quads>([&](auto i) __attribute__((always_inline)) {
      flush<weight>(sums[i / quads][i % quads], d + i / quads * kTileRows + i % quads * kQuadRows);
    });
  }

  template <std::size_t planes, std::size_t blocks, std::size_t tokens>
  static void accumulate(const TileRun& run, const std::int8_t* q, std::size_t q_stride, std::int32_t* d) {
    constexpr std::size_t quads = tokens == 1 ? 4 : 2;
    unrolled<planes>([&](auto plane) __attribute__((always_inline)) {
      for (std::size_t k = 0; k < kTileRows / kQuadRows; k += quads) {
        const TileRun rows{run.codes + plane * kTileBytes + k * kQuadBytes, run.tiles, run.block_bytes};
        run_rows<tokens, quads, plane_weight(planes, plane)>(rows, planes * kTileBytes, q, q_stride,
                                                             d + k * kQuadRows);
      }
    });
  }
};

template void ternary_matmul<Isa::neon>(const TernaryView&, const QuantizedView&, std::size_t, std::size_t,
                                        float*, std::size_t);
template void ternary_dot<Isa::neon>(const TernaryView&, const QuantizedView&, std::size_t, std::size_t,
                                     std::int32_t*, std::size_t);

}  // namespace sterna::kernels
