#include "kernels/lanes/neoni8mm.h"

#include "kernels/ternary_matmul/neon_dot.h"

namespace sterna::kernels {

// smmla multiplies 2 rows x 8 columns by 8 columns x 2 tokens: twice the products of sdot. Two fields of a
// quad, zipped by 32 bits, are two rows with eight consecutive columns each. One token goes by sdot, and so
// do tiles of 20 columns.
template <>
struct TernaryTiles<Isa::neoni8mm> : NeonDotTiles<Isa::neoni8mm> {
  template <class C>
  static constexpr std::size_t kBlocks = 1;
  template <class C>
  using Tokens = TokenSteps<8, 4, 2, 1>;

  // rows[r][h]: rows 2r and 2r + 1 of the quad, columns 8h .. 8h+7 of 16
  [[gnu::always_inline]] static void pair_rows(const int8x16_t* fields, int8x16_t (&rows)[2][2]) {
    unrolled<2>([&](auto h) __attribute__((always_inline)) {
      const int32x4_t left = vreinterpretq_s32_s8(fields[2 * h]);
      const int32x4_t right = vreinterpretq_s32_s8(fields[2 * h + 1]);
      rows[0][h] = vreinterpretq_s8_s32(vzip1q_s32(left, right));
      rows[1][h] = vreinterpretq_s8_s32(vzip2q_s32(left, right));
    });
  }

  // The activations of two tokens, columns 0-7 and 8-15.
  [[gnu::always_inline]] static void pair_tokens(const std::int8_t* q, std::size_t q_stride,
                                                 int8x16_t (&x)[2]) {
    const int64x2_t first = vreinterpretq_s64_s8(vld1q_s8(q));
    const int64x2_t second = vreinterpretq_s64_s8(vld1q_s8(q + q_stride));
    x[0] = vreinterpretq_s8_s64(vzip1q_s64(first, second));
    x[1] = vreinterpretq_s8_s64(vzip2q_s64(first, second));
  }

  // Two quads, four pairs of rows: 8 tokens are 16 accumulators of 2 x 2, beside 8 registers of rows.
  template <class C, std::size_t tokens>
  static void run_pairs(const TileRun& run, const std::int8_t* q, std::size_t q_stride, std::int32_t* d) {
    constexpr std::size_t pairs = tokens / 2;
    int32x4_t sums[4][pairs];  // row 0 token 0, row 0 token 1, row 1 token 0, row 1 token 1
    unrolled<4 * pairs>([&](auto n)
                            __attribute__((always_inline)) { sums[n / pairs][n % pairs] = vdupq_n_s32(0); });
    for (std::size_t i = 0; i < run.tiles; ++i) {
      const std::uint8_t* tile = run.codes + i * C::kBytes;
      int8x16_t fields[2][C::kFields];
      unrolled<2>([&](auto k) __attribute__((always_inline)) {
        Q::template split_codes<C>(tile + k * kQuadBytes, fields[k]);
      });
      unrolled<C::kColumns / 16>([&](auto part) __attribute__((always_inline)) {
        int8x16_t rows[2][2][2];
        pair_rows(fields[0] + 4 * part, rows[0]);
        pair_rows(fields[1] + 4 * part, rows[1]);
        unrolled<pairs>([&](auto p) __attribute__((always_inline)) {
          int8x16_t x[2];
          pair_tokens(q + 2 * p * q_stride + i * C::kColumns + 16 * part, q_stride, x);
          unrolled<8>([&](auto n) __attribute__((always_inline)) {
            constexpr std::size_t r = n / 2;
            sums[r][p] = vmmlaq_s32(sums[r][p], rows[r / 2][r % 2][n % 2], x[n % 2]);
          });
        });
      });
    }
    unrolled<4 * pairs>([&](auto n) __attribute__((always_inline)) {
      const int32x4_t s = sums[n / pairs][n % pairs];
      std::int32_t* out = d + n % pairs * 2 * kTileRows + n / pairs * 2;
      vst1_s32(out, vadd_s32(vld1_s32(out), vget_low_s32(vuzp1q_s32(s, s))));
      vst1_s32(out + kTileRows, vadd_s32(vld1_s32(out + kTileRows), vget_low_s32(vuzp2q_s32(s, s))));
    });
  }

  template <class C, std::size_t blocks, std::size_t tokens>
  static void accumulate(const TileRun& run, const std::int8_t* q, std::size_t q_stride, std::int32_t* d) {
    if constexpr (tokens == 1 || C::kColumns % 16 != 0) {
      NeonDotTiles::accumulate<C, blocks, tokens>(run, q, q_stride, d);
    } else {
      for (std::size_t k = 0; k < kQuads; k += 2) {
        const TileRun rows{run.codes + k * kQuadBytes, run.tiles, run.block_bytes};
        run_pairs<C, tokens>(rows, q, q_stride, d + k * kQuadRows);
      }
    }
  }
};

template void ternary_matmul<Isa::neoni8mm>(const TernaryView&, const QuantizedView&, std::size_t,
                                            std::size_t, float*, std::size_t);
template void ternary_dot<Isa::neoni8mm>(const TernaryView&, const QuantizedView&, std::size_t, std::size_t,
                                         std::int32_t*, std::size_t);

}  // namespace sterna::kernels
