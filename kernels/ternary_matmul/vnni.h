// The product with vpdpbusd: four u8 x s8 products and a sum in int32 at once.
//
// One token: the 2-bit fields are masked in place, so they are 1, 4, 16 and 64 times their codes; each has an
// accumulator of its own, shifted once at the end: 4 ands and 4 products for a register of codes.
// Several tokens: strips of joined planes, one accumulator per token and register of rows.
#pragma once

#include "kernels/ternary_matmul/joined.h"

namespace sterna::kernels {

// V: vector256.h or vector512.h, with V::dot. kSums: sets of four accumulators that the registers hold.
template <class V, std::size_t kSums>
struct VnniTiles {
  using R = typename V::R;
  static constexpr std::size_t kParts = kTileBytes / V::kBytes;
  static constexpr std::size_t kPartRows = kTileRows / kParts;
  static constexpr std::size_t kTwoBitFields = 4;
  template <class C>
  static constexpr std::size_t kRunTiles = 1024;

  // One token, `planes` planes from `first` on of `all`, in one pass: neighbours in memory, so that it is
  // read once.
  template <std::size_t blocks, std::size_t planes, std::size_t first, std::size_t all>
  static void run_planes(const TileRun& run, const std::int8_t* q, std::int32_t* d) {
    constexpr std::size_t rows = blocks * kParts;
    const std::size_t ahead = run.template ahead<blocks>();
    R sums[planes][rows][kTwoBitFields] = {};
    for (std::size_t i = 0; i < run.tiles; ++i) {
      R codes[planes][rows];
      unrolled<planes * rows>([&](auto n) __attribute__((always_inline)) {
        constexpr std::size_t row = n % rows;
        const std::uint8_t* at = run.codes + row / kParts * run.block_bytes +
                                 (i * all + first + n / rows) * kTileBytes + row % kParts * V::kBytes;
        if (row % kParts == 0) prefetch_ahead(at, ahead);
        codes[n / rows][row] = V::load(at);
      });
      unrolled<kTwoBitFields>([&](auto f) __attribute__((always_inline)) {
        const R x = V::broadcast4(q + i * kTileColumns + 4 * f);
        const R mask = V::set8(3 << 2 * f);
        unrolled<planes * rows>([&](auto n) __attribute__((always_inline)) {
          R& sum = sums[n / rows][n % rows][f];
          sum = V::dot(sum, V::both(codes[n / rows][n % rows], mask), x);
        });
      });
    }
    unrolled<planes * rows>([&](auto n) __attribute__((always_inline)) {
      const R(&of)[kTwoBitFields] = sums[n / rows][n % rows];
      const R low = V::add32(of[0], V::template right_signed32<2>(of[1]));
      const R high = V::add32(of[2], V::template right_signed32<2>(of[3]));
      constexpr std::int32_t weight = plane_weight(all, first + n / rows);
      add_to<V, weight>(d + n % rows * kPartRows, V::add32(low, V::template right_signed32<4>(high)));
    });
  }

  template <class C, std::size_t blocks, std::size_t tokens>
  static void accumulate(const TileRun& run, const std::int8_t* q, std::size_t, std::int32_t* d) {
    static_assert(tokens == 1);
    if constexpr (C::kTwoBits) {
      constexpr std::size_t planes = C::kPlanes;
      constexpr std::size_t at_once = kSums / (blocks * kParts) < planes ? kSums / (blocks * kParts) : planes;
      static_assert(planes % at_once == 0);
      unrolled<planes / at_once>([&](auto n) __attribute__((always_inline)) {
        run_planes<blocks, at_once, n * at_once, planes>(run, q, d);
      });
    } else {
      FormOf<V, C::kForm>::type::template run_dots<blocks>(run, q, d);
    }
  }

  template <class C>
  static constexpr std::size_t kWidenFields = kStripFields;  // sums are int32 as they are

  template <class C>
  static void split_tile(const std::uint8_t* tile, std::uint8_t* fields) {
    split_to<V, C>(tile, fields);
  }

  // An activation that is broadcast once serves all rows.
  template <std::size_t widen_fields, std::size_t blocks, std::size_t tokens>
  [[gnu::noinline]] static void multiply_strip(const std::uint8_t* fields, std::size_t count,
                                               const std::int8_t* q, std::size_t q_stride, std::int32_t* d) {
    constexpr std::size_t rows = blocks * kParts;
    R sums[tokens * rows];
    unrolled<tokens * rows>([&](auto n)
                                __attribute__((always_inline)) { sums[n] = V::load(d + n * kPartRows); });
    for (std::size_t i = 0; i < count; ++i) {
      R codes[rows];
      unrolled<rows>([&](auto r) __attribute__((always_inline)) {
        codes[r] = V::load(fields + r / kParts * sizeof(Strip<1>) + i * kTileBytes + r % kParts * V::kBytes);
      });
      unrolled<tokens>([&](auto t) __attribute__((always_inline)) {
        const R x = V::broadcast4(q + t * q_stride + 4 * i);
        unrolled<rows>([&](auto r) __attribute__((always_inline)) {
          sums[t * rows + r] = V::dot(sums[t * rows + r], codes[r], x);
        });
      });
    }
    unrolled<tokens * rows>([&](auto n)
                                __attribute__((always_inline)) { V::store(d + n * kPartRows, sums[n]); });
  }
};

}  // namespace sterna::kernels
