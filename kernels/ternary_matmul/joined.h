// Two or three planes as one: with several tokens a tile is split once and then costs what one plane does.
#pragma once

#include "kernels/ternary_matmul/strips.h"

namespace sterna::kernels {

// V: the integer operations of a register of V::kBytes bytes (avx2.h, avx512.h in this folder).
template <class V>
[[gnu::always_inline]] inline typename V::R times3_plus(typename V::R x, typename V::R y) {
  return V::add8(V::add8(x, x), V::add8(x, y));
}

// fields[f] = the joined codes, 0 .. 8 or 0 .. 26, of the columns 4f .. 4f+3 of a part of a tile: 18 or 37
// operations. Two planes join in nibbles (at most 8, so nothing carries), a third one in bytes.
template <class V, std::size_t planes>
[[gnu::always_inline]] inline void split_joined(const std::uint8_t* tile, typename V::R (&fields)[4]) {
  using R = typename V::R;
  const R pairs = V::set8(0x33);
  const R nibble = V::set8(0x0F);
  const R first = V::load(tile);
  const R second = V::load(tile + kTileBytes);
  const R even = times3_plus<V>(V::both(first, pairs), V::both(second, pairs));
  const R odd = times3_plus<V>(V::both(V::template right<2>(first), pairs),
                               V::both(V::template right<2>(second), pairs));
  fields[0] = V::both(even, nibble);
  fields[1] = V::both(odd, nibble);
  fields[2] = V::both(V::template right<4>(even), nibble);
  fields[3] = V::both(V::template right<4>(odd), nibble);
  if constexpr (planes == 3) {
    const R third = V::load(tile + 2 * kTileBytes);
    const R code = V::set8(0x03);
    unrolled<4>([&](auto f) __attribute__((always_inline)) {
      fields[f] = times3_plus<V>(fields[f], V::both(V::template right<2 * f>(third), code));
    });
  }
}

// One tile to the fields of a strip.
template <class V, std::size_t planes>
[[gnu::always_inline]] inline void split_to(const std::uint8_t* tile, std::uint8_t* fields) {
  for (std::size_t part = 0; part < kTileBytes; part += V::kBytes) {
    typename V::R codes[kFields];
    if constexpr (planes == 1) {
      const typename V::R all = V::load(tile + part);
      unrolled<kFields>([&](auto f) __attribute__((always_inline)) {
        codes[f] = V::both(V::template right<2 * f>(all), V::set8(0x03));
      });
    } else {
      split_joined<V, planes>(tile + part, codes);
    }
    unrolled<kFields>([&](auto f) __attribute__((always_inline)) {
      V::store(fields + f * kTileBytes + part, codes[f]);
    });
  }
}

// d[0 ..) += weight * x, weight 1, 3 or 9.
template <class V, std::int32_t weight>
[[gnu::always_inline]] inline void add_to(std::int32_t* d, typename V::R x) {
  if constexpr (weight == 3) x = V::add32(x, V::template left32<1>(x));
  if constexpr (weight == 9) x = V::add32(x, V::template left32<3>(x));
  V::store(d, V::add32(V::load(d), x));
}

}  // namespace sterna::kernels
