#include "kernels/lanes/neon.h"

#include <type_traits>

#include "kernels/ternary_matmul/neon_quads.h"

namespace sterna::kernels {

// Baseline ARMv8.0: widening multiply-adds of codes and activations into int16, two rows of four columns per
// register; the bounds are in ternary_matmul.h. A register of codes is four rows ("quad").
template <>
struct TernaryTiles<Isa::neon> {
  using Q = NeonQuads<Isa::neon>;
  // ternary_matmul.h has the bounds.
  template <class C>
  static constexpr std::size_t kRunTiles = C::kForm == CodeForm::base3     ? 25
                                           : C::kForm == CodeForm::triples ? 1
                                                                           : 8;
  template <class C>
  static constexpr std::size_t kBlocks = 1;
  template <class C>
  using Tokens = TokenSteps<4, 1>;

  struct Sums {
    int16x8_t low;   // rows 0 and 1 of the quad, four column classes each
    int16x8_t high;  // rows 2 and 3
  };

  template <std::int32_t weight>
  static void flush(const Sums& sums, std::int32_t* d) {
    const int32x4_t total = vpaddq_s32(vpaddlq_s16(sums.low), vpaddlq_s16(sums.high));
    vst1q_s32(d, vmlaq_n_s32(vld1q_s32(d), total, weight));
  }

  // `quads` times 4 rows for all tokens; 4 x 1 and 2 x 4 accumulators pairs fill 8 and 16 of 32 registers.
  template <class C, std::size_t tokens, std::size_t quads, std::int32_t weight>
  static void run_rows(const TileRun& run, std::size_t tile_stride, const std::int8_t* q,
                       std::size_t q_stride, std::int32_t* d) {
    Sums sums[tokens][quads];
    unrolled<tokens * quads>([&](auto i) __attribute__((always_inline)) {
      sums[i / quads][i % quads] = {vdupq_n_s16(0), vdupq_n_s16(0)};
    });
    for (std::size_t i = 0; i < run.tiles; ++i) {
      const std::uint8_t* tile = run.codes + i * tile_stride;
      int8x16_t fields[quads][C::kFields];
      unrolled<quads>([&](auto k) __attribute__((always_inline)) {
        Q::split_codes<C>(tile + k * kQuadBytes, fields[k]);
      });
      unrolled<tokens * C::kFields>([&](auto n) __attribute__((always_inline)) {
        constexpr std::size_t t = n / C::kFields;
        constexpr std::size_t field = n % C::kFields;
        const int8x16_t x = Q::broadcast4(q + t * q_stride + i * C::kColumns + 4 * field);
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

  template <class C, std::size_t blocks, std::size_t tokens>
  static void accumulate(const TileRun& run, const std::int8_t* q, std::size_t q_stride, std::int32_t* d) {
    using Plane = Codes<CodeForm::trit2, 1>;
    // Two-bit planes one by one; other forms hold codes that are joined.
    constexpr std::size_t passes = C::kTwoBits ? C::kPlanes : 1;
    using Pass = std::conditional_t<C::kTwoBits, Plane, C>;
    constexpr std::size_t quads = tokens == 1 ? 4 : 2;
    unrolled<passes>([&](auto pass) __attribute__((always_inline)) {
      for (std::size_t k = 0; k < kQuads; k += quads) {
        const TileRun rows{run.codes + pass * kTileBytes + k * kQuadBytes, run.tiles, run.block_bytes};
        run_rows<Pass, tokens, quads, plane_weight(passes, pass)>(rows, C::kBytes, q, q_stride,
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
