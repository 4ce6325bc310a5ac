// Five trits in a byte (CodeForm::base3), on x86. A byte is b = c0 + 3 c1 + 9 c2 + 27 c3 + 81 c4. Two
// conditional subtractions, x = min(x, x - n) in unsigned bytes, leave the remainder of a division by 81,
// then by 27; the three trits of what is left are looked up, 16 + 11 entries:
//     r = b mod 81, s = r mod 27:  b - r = 81 c4,  r - s = 27 c3,  table[s] = c0 + 4 c1 + 16 c2
// 14 operations. Multiples of codes will do where a sum is divided in the end, and 81 n & 3 = n and
// 27 n & 7 = 3 n for n = 0, 1, 2, where int16 sums want them small.
#pragma once

#include "kernels/ternary_matmul/add_to.h"
#include "kernels/ternary_matmul/generic.h"

namespace sterna::kernels {

// The number that undoes a multiplication by an odd one modulo 2^32: exact division of sums.
[[gnu::always_inline]] constexpr std::int32_t inverse32(std::uint32_t odd) {
  std::uint32_t x = odd;                         // right in three bits
  for (int i = 0; i < 4; ++i) x *= 2 - odd * x;  // in twice as many
  return static_cast<std::int32_t>(x);
}

template <class V>
struct Base3 {
  using R = typename V::R;

  struct Table {
    std::uint8_t low[16];   // of 0 .. 15
    std::uint8_t high[16];  // of 16 .. 26: the bits in which they differ from low
  };
  alignas(16) static constexpr Table kTable = [] {
    Table table{};
    for (unsigned i = 0; i < 27; ++i) {
      const auto codes = static_cast<std::uint8_t>(i % 3 | i / 3 % 3 << 2 | i / 9 << 4);
      if (i < 16) {
        table.low[i] = codes;
      } else {
        table.high[i - 16] = codes ^ table.low[i - 16];
      }
    }
    return table;
  }();

  struct WideTable {
    std::uint8_t bytes[128];
  };
  alignas(64) static constexpr WideTable kWideTable = [] {
    WideTable table{};
    for (unsigned i = 0; i < 81; ++i) {
      table.bytes[i] = static_cast<std::uint8_t>(i % 3 | i / 3 % 3 << 2 | i / 9 % 3 << 4 | i / 27 << 6);
    }
    return table;
  }();

  R by81;    // 81 c4
  R by27;    // 27 c3
  R packed;  // c0 + 4 c1 + 16 c2

  template <int n>
  [[gnu::always_inline]] static R remainder(R x) {
    x = V::min8(x, V::sub8(x, V::set8(n)));
    return V::min8(x, V::sub8(x, V::set8(n)));
  }

  [[gnu::always_inline]] static Base3 load(const std::uint8_t* codes) {
    Base3 b;
    const R bytes = V::load(codes);
    const R r = remainder<81>(bytes);
    const R s = remainder<27>(r);
    b.by81 = V::sub8(bytes, r);
    b.by27 = V::sub8(r, s);
    // An index with its highest bit set gives 0: s - 16 of a small s.
    b.packed = V::differ(V::look_up(V::table(kTable.low), s),
                         V::look_up(V::table(kTable.high), V::sub8(s, V::set8(16))));
    return b;
  }

  [[gnu::always_inline]] static void split(const std::uint8_t* codes, R (&fields)[5]) {
    const Base3 b = load(codes);
    const R low = V::set8(0x03);
    unrolled<3>([&](auto f) __attribute__((always_inline)) {
      fields[f] = V::both(V::template right<2 * f>(b.packed), low);
    });
    fields[3] = V::both(V::template right<5>(V::add8(b.by27, V::set8(10))), low);  // 10, 37, 64
    fields[4] = V::both(b.by81, low);
  }

  // One token by vpdpbusd where four trits can be looked up at once: 81, 1, 4, 16 and 64 times the codes, an
  // accumulator for each.
  template <std::size_t blocks>
  static void run_wide(const TileRun& run, const std::int8_t* q, std::int32_t* d) {
    static_assert(V::kBytes == kTileBytes);
    const R low = V::load(kWideTable.bytes);
    const R high = V::load(kWideTable.bytes + V::kBytes);
    R sums[blocks][5] = {};
    for (std::size_t i = 0; i < run.tiles; ++i) {
      unrolled<blocks>([&](auto block) __attribute__((always_inline)) {
        const std::uint8_t* at = run.codes + block * run.block_bytes + i * kTileBytes;
        prefetch_ahead(at, run.template ahead<blocks>());
        const R bytes = V::load(at);
        const R r = remainder<81>(bytes);
        const R four = V::look_up(low, r, high);
        unrolled<4>([&](auto f) __attribute__((always_inline)) {
          const R codes = V::both(four, V::set8(3 << 2 * f));
          sums[block][f] = V::dot(sums[block][f], codes, V::broadcast4(q + 20 * i + 4 * f));
        });
        sums[block][4] = V::dot(sums[block][4], V::sub8(bytes, r), V::broadcast4(q + 20 * i + 16));
      });
    }
    unrolled<blocks>([&](auto block) __attribute__((always_inline)) {
      const R(&of)[5] = sums[block];
      const R upper = V::add32(of[2], V::template right_signed32<2>(of[3]));
      const R middle = V::add32(of[1], V::template right_signed32<2>(upper));
      const R lower = V::add32(of[0], V::template right_signed32<2>(middle));
      add_to<V, 1>(d + block * kTileRows, V::add32(lower, V::mul32(of[4], inverse32(81))));
    });
  }

  // One token by vpdpbusd: 81, 27, 1, 4 and 16 times the codes, an accumulator for each.
  template <std::size_t blocks>
  static void run_dots(const TileRun& run, const std::int8_t* q, std::int32_t* d) {
    if constexpr (V::kWideTables) return run_wide<blocks>(run, q, d);
    static_assert(blocks == 1 || V::kWideTables);
    for (std::size_t part = 0; part < kTileBytes; part += V::kBytes) {
      R sums[5] = {};
      for (std::size_t i = 0; i < run.tiles; ++i) {
        const std::uint8_t* at = run.codes + i * kTileBytes + part;
        if (part == 0) prefetch_ahead(at, run.template ahead<1>());
        const Base3 b = load(at);
        const R fields[5] = {V::both(b.packed, V::set8(0x03)), V::both(b.packed, V::set8(0x0C)),
                             V::both(b.packed, V::set8(0x30)), b.by27, b.by81};
        unrolled<5>([&](auto f) __attribute__((always_inline)) {
          sums[f] = V::dot(sums[f], fields[f], V::broadcast4(q + 20 * i + 4 * f));
        });
      }
      const R by3 = V::add32(V::mul32(sums[4], inverse32(81)), V::mul32(sums[3], inverse32(27)));
      const R low = V::add32(
          sums[0], V::template right_signed32<2>(V::add32(sums[1], V::template right_signed32<2>(sums[2]))));
      add_to<V, 1>(d + part / 4, V::add32(by3, low));
    }
  }

  // One token by pairs in int16: c0 + c2 + c4, 4 c1 and 3 c3 have an accumulator each.
  static void run_pairs(const TileRun& run, const std::int8_t* q, std::int32_t* d) {
    const auto add = [&](R & sum, R codes, const std::int8_t* x) __attribute__((always_inline)) {
      sum = V::add16(sum, V::pairs16(codes, V::broadcast4(x)));
    };
    for (std::size_t part = 0; part < kTileBytes; part += V::kBytes) {
      R once = V::set8(0);
      R thrice = once;
      R four = once;
      for (std::size_t i = 0; i < run.tiles; ++i) {
        const std::uint8_t* at = run.codes + i * kTileBytes + part;
        if (part == 0) prefetch_ahead(at, run.template ahead<1>());
        const Base3 b = load(at);
        const std::int8_t* x = q + 20 * i;
        add(once, V::both(b.packed, V::set8(0x03)), x);
        add(four, V::both(b.packed, V::set8(0x0C)), x + 4);
        add(once, V::both(V::template right<4>(b.packed), V::set8(0x03)), x + 8);
        add(thrice, V::both(b.by27, V::set8(0x07)), x + 12);
        add(once, V::both(b.by81, V::set8(0x03)), x + 16);
      }
      const R low = V::add32(V::widen(once), V::template right_signed32<2>(V::widen(four)));
      add_to<V, 1>(d + part / 4, V::add32(low, V::mul32(V::widen(thrice), inverse32(3))));
    }
  }
};

}  // namespace sterna::kernels
