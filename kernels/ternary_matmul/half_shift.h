// The product without dot-product instructions: u8 x s8 pairs are summed in int16.
//
// Half-shift, plane by plane: masks 0x03 and 0x0C on the codes and on the codes >> 4. What 0x0C selects is
// four times its code and has accumulators of its own, divided by 4 (exactly) when widened. A register of
// codes takes 1 shift and 4 ands, and per token 4 maddubs, 4 adds and 4 broadcasts, which loads do without a
// vector unit.
// Several tokens: strips of joined planes, with one accumulator in int16 for as many tiles as that holds
// (kWidenTiles).
#pragma once

#include "kernels/ternary_matmul/joined.h"

namespace sterna::kernels {

template <class V>
struct HalfShift {
  using R = typename V::R;
  static constexpr std::size_t kParts = kTileBytes / V::kBytes;
  static constexpr std::size_t kPartRows = kTileRows / kParts;
  // ternary_matmul.h has the bounds.
  template <class C>
  static constexpr std::size_t kRunTiles = C::kForm == CodeForm::base3     ? 16
                                           : C::kForm == CodeForm::triples ? 1024
                                                                           : 8;

  // A lane of a strip's sums takes a pair of each field, -512 .. 508, -2048 .. 2032 or -6656 .. 6604.
  template <class C>
  static constexpr std::size_t kWidenFields = C::kPlanes == 1   ? 64
                                              : C::kPlanes == 2 ? 16
                                                                : 4;

  struct Sums {  // int16
    R even;      // the columns 0-3 and 8-11 of each tile
    R odd;       // the columns 4-7 and 12-15: 4 times their products
  };

  // sums += codes of one part of a tile, field by field, times the activations of its columns
  [[gnu::always_inline]] static void multiply(const R (&fields)[4], const std::int8_t* q, Sums& sums) {
    unrolled<2>([&](auto i) __attribute__((always_inline)) {
      sums.even = V::add16(sums.even, V::pairs16(fields[2 * i], V::broadcast4(q + 8 * i)));
      sums.odd = V::add16(sums.odd, V::pairs16(fields[2 * i + 1], V::broadcast4(q + 8 * i + 4)));
    });
  }

  [[gnu::always_inline]] static void split(R codes, R (&fields)[4]) {
    const R low = V::set8(0x03);
    const R high = V::set8(0x0C);
    const R upper = V::template right<4>(codes);
    fields[0] = V::both(codes, low);
    fields[1] = V::both(codes, high);
    fields[2] = V::both(upper, low);
    fields[3] = V::both(upper, high);
  }

  [[gnu::always_inline]] static R total(const Sums& sums) {
    return V::add32(V::widen(sums.even), V::template right_signed32<2>(V::widen(sums.odd)));
  }

  // One token and plane, all parts of the tiles of some blocks.
  template <std::size_t blocks, std::int32_t weight>
  static void run_plane(const TileRun& run, std::size_t tile_stride, const std::int8_t* q, std::int32_t* d) {
    Sums sums[blocks * kParts] = {};
    const std::size_t ahead = run.template ahead<blocks>();
    for (std::size_t i = 0; i < run.tiles; ++i) {
      unrolled<blocks * kParts>([&](auto n) __attribute__((always_inline)) {
        const std::uint8_t* at =
            run.codes + n / kParts * run.block_bytes + i * tile_stride + n % kParts * V::kBytes;
        if (n % kParts == 0) prefetch_ahead(at, ahead);
        R fields[4];
        split(V::load(at), fields);
        multiply(fields, q + i * kTileColumns, sums[n]);
      });
    }
    unrolled<blocks * kParts>([&](auto n) __attribute__((always_inline)) {
      add_to<V, weight>(d + n * kPartRows, total(sums[n]));
    });
  }

  template <class C, std::size_t blocks, std::size_t tokens>
  static void accumulate(const TileRun& run, const std::int8_t* q, std::size_t, std::int32_t* d) {
    static_assert(tokens == 1);
    if constexpr (C::kTwoBits) {
      unrolled<C::kPlanes>([&](auto plane) __attribute__((always_inline)) {
        const TileRun of_plane{run.codes + plane * kTileBytes, run.tiles, run.block_bytes};
        run_plane<blocks, plane_weight(C::kPlanes, plane)>(of_plane, C::kBytes, q, d);
      });
    } else {
      static_assert(blocks == 1);
      FormOf<V, C::kForm>::type::run_pairs(run, q, d);
    }
  }

  template <class C>
  static void split_tile(const std::uint8_t* tile, std::uint8_t* fields) {
    split_to<V, C>(tile, fields);
  }

  // An activation that is broadcast once serves all rows.
  template <std::size_t widen_fields, std::size_t blocks, std::size_t tokens>
  [[gnu::noinline]] static void multiply_strip(const std::uint8_t* fields, std::size_t count,
                                               const std::int8_t* q, std::size_t q_stride, std::int32_t* d) {
    constexpr std::size_t rows = blocks * kParts;
    for (std::size_t begin = 0; begin < count; begin += widen_fields) {
      const std::size_t end = begin + widen_fields < count ? begin + widen_fields : count;
      R sums[tokens * rows] = {};
      for (std::size_t i = begin; i < end; ++i) {
        R codes[rows];
        unrolled<rows>([&](auto r) __attribute__((always_inline)) {
          codes[r] =
              V::load(fields + r / kParts * sizeof(Strip<1>) + i * kTileBytes + r % kParts * V::kBytes);
        });
        unrolled<tokens>([&](auto t) __attribute__((always_inline)) {
          const R x = V::broadcast4(q + t * q_stride + 4 * i);
          unrolled<rows>([&](auto r) __attribute__((always_inline)) {
            sums[t * rows + r] = V::add16(sums[t * rows + r], V::pairs16(codes[r], x));
          });
        });
      }
      unrolled<tokens * rows>([&](auto n) __attribute__((always_inline)) {
        add_to<V, 1>(d + n * kPartRows, V::widen(sums[n]));
      });
    }
  }
};

}  // namespace sterna::kernels
