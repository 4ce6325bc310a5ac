// Two or three planes as one: with several tokens a tile is split once and then costs what one plane does.
#pragma once

#include "kernels/ternary_matmul/base3.h"
#include "kernels/ternary_matmul/folded.h"
#include "kernels/ternary_matmul/strips.h"

namespace sterna::kernels {

// V: the integer operations of a register of V::kBytes bytes (avx2.h, avx512.h in this folder).
template <class V>
[[gnu::always_inline]] inline typename V::R times3_plus(typename V::R x, typename V::R y) {
  return V::add8(V::add8(x, x), V::add8(x, y));
}

// The loops of the forms that are no two-bit codes.
template <class V, CodeForm form>
struct FormOf;
template <class V>
struct FormOf<V, CodeForm::base3> {
  using type = Base3<V>;
};
template <class V>
struct FormOf<V, CodeForm::pairs> {
  using type = Pairs<V>;
};
template <class V>
struct FormOf<V, CodeForm::triples> {
  using type = Triples<V>;
};

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

// One register of 16 rows of a tile, or a part of it: its codes, a field in each register.
template <class V, class C>
[[gnu::always_inline]] inline void split(const std::uint8_t* tile, typename V::R (&fields)[C::kFields]) {
  if constexpr (!C::kTwoBits) {
    FormOf<V, C::kForm>::type::split(tile, fields);
  } else if constexpr (C::kPlanes == 1) {
    const typename V::R all = V::load(tile);
    unrolled<C::kFields>([&](auto f) __attribute__((always_inline)) {
      fields[f] = V::both(V::template right<2 * f>(all), V::set8(0x03));
    });
  } else {
    split_joined<V, C::kPlanes>(tile, fields);
  }
}

// One tile to the fields of a strip.
template <class V, class C>
[[gnu::always_inline]] inline void split_to(const std::uint8_t* tile, std::uint8_t* fields) {
  for (std::size_t part = 0; part < kTileBytes; part += V::kBytes) {
    typename V::R codes[C::kFields];
    split<V, C>(tile + part, codes);
    unrolled<C::kFields>([&](auto f) __attribute__((always_inline)) {
      V::store(fields + f * kTileBytes + part, codes[f]);
    });
  }
}

}  // namespace sterna::kernels
