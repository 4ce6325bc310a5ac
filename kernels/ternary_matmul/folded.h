// Two planes folded into four bits, three into five (CodeForm::pairs, CodeForm::triples), on x86.
#pragma once

#include "kernels/ternary_matmul/add_to.h"
#include "kernels/ternary_matmul/generic.h"

namespace sterna::kernels {

template <class V>
struct Pairs {
  using R = typename V::R;
  static constexpr std::size_t kRegisters = 2;  // of a tile
  static constexpr std::size_t kColumns = 16;

  // The codes of register h of a tile: fields 2h and 2h + 1.
  [[gnu::always_inline]] static void split_register(const std::uint8_t* codes, R& low, R& high) {
    const R all = V::load(codes);
    low = V::both(all, V::set8(0x0F));
    high = V::both(V::template right<4>(all), V::set8(0x0F));
  }

  [[gnu::always_inline]] static void split(const std::uint8_t* tile, R (&fields)[4]) {
    unrolled<kRegisters>([&](auto h) __attribute__((always_inline)) {
      split_register(tile + h * kTileBytes, fields[2 * h], fields[2 * h + 1]);
    });
  }

  // One token by vpdpbusd: the upper codes stay 16 times what they are.
  template <std::size_t blocks>
  static void run_dots(const TileRun& run, const std::int8_t* q, std::int32_t* d) {
    for (std::size_t part = 0; part < kTileBytes; part += V::kBytes) {
      R low[blocks][kRegisters] = {};
      R high[blocks][kRegisters] = {};
      for (std::size_t i = 0; i < run.tiles; ++i) {
        unrolled<kRegisters>([&](auto h) __attribute__((always_inline)) {
          const R even = V::broadcast4(q + i * kColumns + 8 * h);
          const R odd = V::broadcast4(q + i * kColumns + 8 * h + 4);
          unrolled<blocks>([&](auto b) __attribute__((always_inline)) {
            const std::uint8_t* at =
                run.codes + b * run.block_bytes + (i * kRegisters + h) * kTileBytes + part;
            if (part == 0) prefetch_ahead(at, run.template ahead<blocks>());
            const R all = V::load(at);
            low[b][h] = V::dot(low[b][h], V::both(all, V::set8(0x0F)), even);
            high[b][h] = V::dot(high[b][h], V::both(all, V::set8(0xF0)), odd);
          });
        });
      }
      unrolled<blocks>([&](auto b) __attribute__((always_inline)) {
        const R upper = V::template right_signed32<4>(V::add32(high[b][0], high[b][1]));
        add_to<V, 1>(d + b * kTileRows + part / 4, V::add32(V::add32(low[b][0], low[b][1]), upper));
      });
    }
  }

  // One token by pairs in int16.
  static void run_pairs(const TileRun& run, const std::int8_t* q, std::int32_t* d) {
    for (std::size_t part = 0; part < kTileBytes; part += V::kBytes) {
      R sums[2] = {};
      for (std::size_t i = 0; i < run.tiles; ++i) {
        unrolled<kRegisters>([&](auto h) __attribute__((always_inline)) {
          const std::uint8_t* at = run.codes + (i * kRegisters + h) * kTileBytes + part;
          if (part == 0) prefetch_ahead(at, run.template ahead<1>());
          const std::int8_t* x = q + i * kColumns + 8 * h;
          R codes[2];
          split_register(at, codes[0], codes[1]);
          unrolled<2>([&](auto n) __attribute__((always_inline)) {
            sums[n] = V::add16(sums[n], V::pairs16(codes[n], V::broadcast4(x + 4 * n)));
          });
        });
      }
      add_to<V, 1>(d + part / 4, V::add32(V::widen(sums[0]), V::widen(sums[1])));
    }
  }
};

template <class V>
struct Triples {
  using R = typename V::R;
  static constexpr std::size_t kRegisters = 4;
  static constexpr std::size_t kColumns = 32;
  static constexpr std::size_t kBytes = (kRegisters + 1) * kTileBytes;

  // The high bit of field f of a tile, as 16 or 0.
  template <std::size_t f>
  [[gnu::always_inline]] static R high_bit(R bits) {
    const R bit = V::set8(0x10);
    if constexpr (f < 4) return V::both(V::template left16<4 - f>(bits), bit);
    if constexpr (f == 4) return V::both(bits, bit);
    if constexpr (f > 4) return V::both(V::template right<f - 4>(bits), bit);
  }

  [[gnu::always_inline]] static void split(const std::uint8_t* tile, R (&fields)[8]) {
    const R bits = V::load(tile + kRegisters * kTileBytes);
    unrolled<kRegisters>([&](auto h) __attribute__((always_inline)) {
      R low;
      R high;
      Pairs<V>::split_register(tile + h * kTileBytes, low, high);
      fields[2 * h] = V::add8(low, high_bit<2 * h>(bits));
      fields[2 * h + 1] = V::add8(high, high_bit<2 * h + 1>(bits));
    });
  }

  // One token by vpdpbusd: nothing is shifted, the high bits of field f count 2^f times.
  template <std::size_t blocks>
  static void run_dots(const TileRun& run, const std::int8_t* q, std::int32_t* d) {
    for (std::size_t part = 0; part < kTileBytes; part += V::kBytes) {
      static_assert(blocks == 1);
      R low = V::set8(0);
      R high = low;
      R of_bit[8] = {};
      for (std::size_t i = 0; i < run.tiles; ++i) {
        const std::uint8_t* tile = run.codes + i * kBytes + part;
        const std::int8_t* x = q + i * kColumns;
        const R bits = V::load(tile + kRegisters * kTileBytes);
        unrolled<kRegisters + 1>([&](auto h) __attribute__((always_inline)) {
          if (part == 0) prefetch_ahead(tile + h * kTileBytes, run.template ahead<1>());
        });
        unrolled<kRegisters>([&](auto h) __attribute__((always_inline)) {
          const R all = V::load(tile + h * kTileBytes);
          const R even = V::broadcast4(x + 8 * h);
          const R odd = V::broadcast4(x + 8 * h + 4);
          low = V::dot(low, V::both(all, V::set8(0x0F)), even);
          high = V::dot(high, V::both(all, V::set8(0xF0)), odd);
          of_bit[2 * h] = V::dot(of_bit[2 * h], V::both(bits, V::set8(1 << 2 * h)), even);
          of_bit[2 * h + 1] = V::dot(of_bit[2 * h + 1], V::both(bits, V::set8(2 << 2 * h)), odd);
        });
      }
      R sum = V::add32(low, V::template right_signed32<4>(high));
      unrolled<4>([&](auto f) __attribute__((always_inline)) {
        sum = V::add32(sum, V::template left32<4 - f>(of_bit[f]));
        sum = V::add32(sum, V::template right_signed32<f>(of_bit[4 + f]));
      });
      add_to<V, 1>(d + part / 4, sum);
    }
  }

  // One token by pairs in int16, which hold half a tile.
  static void run_pairs(const TileRun& run, const std::int8_t* q, std::int32_t* d) {
    for (std::size_t part = 0; part < kTileBytes; part += V::kBytes) {
      R sum = V::set8(0);
      for (std::size_t i = 0; i < run.tiles; ++i) {
        const std::uint8_t* tile = run.codes + i * kBytes + part;
        unrolled<kRegisters + 1>([&](auto h) __attribute__((always_inline)) {
          if (part == 0) prefetch_ahead(tile + h * kTileBytes, run.template ahead<1>());
        });
        R fields[8];
        split(tile, fields);
        R half[2] = {};
        unrolled<8>([&](auto f) __attribute__((always_inline)) {
          const R x = V::broadcast4(q + i * kColumns + 4 * f);
          half[f / 4] = V::add16(half[f / 4], V::pairs16(fields[f], x));
        });
        sum = V::add32(sum, V::add32(V::widen(half[0]), V::widen(half[1])));
      }
      add_to<V, 1>(d + part / 4, sum);
    }
  }
};

}  // namespace sterna::kernels
