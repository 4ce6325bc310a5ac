// The product with vpdpbusd: four u8 x s8 products and a sum in int32 at once.
//
// One token: the 2-bit fields are masked in place, so they are 1, 4, 16 and 64 times their codes; each has an
// accumulator of its own, shifted once at the end: 4 ands and 4 products for a register of codes.
// Several tokens: fields are shifted down (7 operations), planes joined, one accumulator per token.
#pragma once

#include "kernels/ternary_matmul/joined.h"

namespace sterna::kernels {

// V: vector256.h or vector512.h, with V::dot. kSums: sets of four accumulators that the registers hold.
template <class V, std::size_t kSums>
struct VnniTiles {
  using R = typename V::R;
  static constexpr std::size_t kParts = kTileBytes / V::kBytes;
  static constexpr std::size_t kPartRows = kTileRows / kParts;
  static constexpr std::size_t kRunGroups = 128;
  static constexpr std::size_t kFields = 4;

  // One token, `planes` planes from `first` on of `all`, in one pass: neighbours in memory, so that it is
  // read once.
  template <std::size_t blocks, std::size_t planes, std::size_t first, std::size_t all>
  static void run_planes(const TileRun& run, const std::int8_t* q, std::int32_t* d) {
    constexpr std::size_t rows = blocks * kParts;
    const std::size_t ahead = run.template ahead<blocks>();
    R sums[planes][rows][kFields] = {};
    for (std::size_t i = 0; i < run.tiles; ++i) {
      R codes[planes][rows];
      unrolled<planes * rows>([&](auto n) __attribute__((always_inline)) {
        constexpr std::size_t row = n % rows;
        const std::uint8_t* at = run.codes + row / kParts * run.block_bytes +
                                 (i * all + first + n / rows) * kTileBytes + row % kParts * V::kBytes;
        if (row % kParts == 0) prefetch_ahead(at, ahead);
        codes[n / rows][row] = V::load(at);
      });
      unrolled<kFields>([&](auto f) __attribute__((always_inline)) {
        const R x = V::broadcast4(q + i * kTileColumns + 4 * f);
        const R mask = V::set8(3 << 2 * f);
        unrolled<planes * rows>([&](auto n) __attribute__((always_inline)) {
          R& sum = sums[n / rows][n % rows][f];
          sum = V::dot(sum, V::both(codes[n / rows][n % rows], mask), x);
        });
      });
    }
    unrolled<planes * rows>([&](auto n) {
      const R(&of)[kFields] = sums[n / rows][n % rows];
      const R low = V::add32(of[0], V::template right_signed32<2>(of[1]));
      const R high = V::add32(of[2], V::template right_signed32<2>(of[3]));
      constexpr std::int32_t weight = plane_weight(all, first + n / rows);
      add_to<V, weight>(d + n % rows * kPartRows, V::add32(low, V::template right_signed32<4>(high)));
    });
  }

  // fields[f] of one plane.
  template <std::size_t f>
  [[gnu::always_inline]] static R field(R codes) {
    return V::both(V::template right<2 * f>(codes), V::set8(0x03));
  }

  // Several tokens, one plane, one part of the tiles of some blocks: field by field, so that no more than
  // `blocks` of them need a register. An activation that is broadcast once serves all blocks.
  template <std::size_t blocks, std::size_t tokens>
  static void run_part(const TileRun& run, const std::int8_t* q, std::size_t q_stride, std::int32_t* d) {
    constexpr std::size_t count = blocks * tokens;
    R sums[count];
    unrolled<count>([&](auto n) { sums[n] = V::load(d + n * kTileRows); });
    for (std::size_t i = 0; i < run.tiles; ++i) {
      R codes[blocks];
      unrolled<blocks>([&](auto b) __attribute__((always_inline)) {
        codes[b] = V::load(run.codes + b * run.block_bytes + i * kTileBytes);
      });
      unrolled<kFields>([&](auto f) __attribute__((always_inline)) {
        R fields[blocks];
        unrolled<blocks>([&](auto b) __attribute__((always_inline)) { fields[b] = field<f>(codes[b]); });
        unrolled<tokens>([&](auto t) __attribute__((always_inline)) {
          const R x = V::broadcast4(q + t * q_stride + i * kTileColumns + 4 * f);
          unrolled<blocks>([&](auto b) __attribute__((always_inline)) {
            sums[b * tokens + t] = V::dot(sums[b * tokens + t], fields[b], x);
          });
        });
      });
    }
    unrolled<count>([&](auto n) { V::store(d + n * kTileRows, sums[n]); });
  }

  // The same of several planes, joined; one block.
  template <std::size_t planes, std::size_t tokens>
  static void run_joined(const TileRun& run, const std::int8_t* q, std::size_t q_stride, std::int32_t* d) {
    R sums[tokens];
    unrolled<tokens>([&](auto t) { sums[t] = V::load(d + t * kTileRows); });
    for (std::size_t i = 0; i < run.tiles; ++i) {
      R fields[kFields];
      split_joined<V, planes>(run.codes + i * planes * kTileBytes, fields);
      unrolled<tokens>([&](auto t) __attribute__((always_inline)) {
        const std::int8_t* x = q + t * q_stride + i * kTileColumns;
        unrolled<kFields>([&](auto f) __attribute__((always_inline)) {
          sums[t] = V::dot(sums[t], fields[f], V::broadcast4(x + 4 * f));
        });
      });
    }
    unrolled<tokens>([&](auto t) { V::store(d + t * kTileRows, sums[t]); });
  }

  template <std::size_t planes, std::size_t blocks, std::size_t tokens>
  static void accumulate(const TileRun& run, const std::int8_t* q, std::size_t q_stride, std::int32_t* d) {
    if constexpr (tokens == 1) {
      constexpr std::size_t at_once = kSums / (blocks * kParts) < planes ? kSums / (blocks * kParts) : planes;
      static_assert(planes % at_once == 0);
      unrolled<planes / at_once>(
          [&](auto n) { run_planes<blocks, at_once, n * at_once, planes>(run, q, d); });
    } else {
      for (std::size_t part = 0; part < kParts; ++part) {
        const TileRun of_part{run.codes + part * V::kBytes, run.tiles, run.block_bytes};
        if constexpr (planes == 1) run_part<blocks, tokens>(of_part, q, q_stride, d + part * kPartRows);
        if constexpr (planes != 1) run_joined<planes, tokens>(of_part, q, q_stride, d + part * kPartRows);
      }
    }
  }
};

}  // namespace sterna::kernels
