#pragma once

#include "kernels/lanes/lanes.h"
#include "kernels/rotate/rotate.h"

namespace sterna::kernels {

// The stages of sixteen columns: strides 1, 2, 4, 8 as far as they are below the block.
template <Isa isa>
[[gnu::always_inline]] inline F32x16<isa> rotate_lanes(F32x16<isa> x, std::size_t block) {
  if (block > 1) x = x.template butterfly<1>();
  if (block > 2) x = x.template butterfly<2>();
  if (block > 4) x = x.template butterfly<4>();
  if (block > 8) x = x.template butterfly<8>();
  return x;
}

// The stages of strides S and 2S, where v has the columns i, i + S, i + 2S and i + 3S.
template <Isa isa>
[[gnu::always_inline]] inline void two_stages(F32x16<isa> (&v)[4]) {
  using F = F32x16<isa>;
  const F a = v[0] + v[1];
  const F b = v[0] - v[1];
  const F c = v[2] + v[3];
  const F d = v[2] - v[3];
  v[0] = a + c;
  v[1] = b + d;
  v[2] = a - c;
  v[3] = b - d;
}

// From the input to the stages of strides 1 to 32, for blocks of at least 64.
template <Isa isa>
[[gnu::always_inline]] inline void first_six_stages(const float* x, const float* factors, float* y) {
  using F = F32x16<isa>;
  F v[4];
  unrolled<4>([&](auto i) __attribute__((always_inline)) {
    const F scaled = F::load(x + i * kLanes) * F::load(factors + i * kLanes);
    v[i] = rotate_lanes<isa>(scaled, kLanes);
  });
  two_stages<isa>(v);
  unrolled<4>([&](auto i) __attribute__((always_inline)) { v[i].store(y + i * kLanes); });
}

// The stages from `stride`, a multiple of 16, to block / 2, in place: two in one trip, and one if it is left.
template <Isa isa>
void vertical_stages(std::size_t block, std::size_t stride, float* y) {
  using F = F32x16<isa>;
  for (; stride * 2 < block; stride *= 4) {
    for (std::size_t first = 0; first < block; first += 4 * stride) {
      for (std::size_t i = first; i < first + stride; i += kLanes) {
        F v[4];
        unrolled<4>([&](auto j) __attribute__((always_inline)) { v[j] = F::load(y + i + j * stride); });
        two_stages<isa>(v);
        unrolled<4>([&](auto j) __attribute__((always_inline)) { v[j].store(y + i + j * stride); });
      }
    }
  }
  if (stride == block) return;
  for (std::size_t i = 0; i < stride; i += kLanes) {
    const F low = F::load(y + i);
    const F high = F::load(y + i + stride);
    (low + high).store(y + i);
    (low - high).store(y + i + stride);
  }
}

template <Isa isa>
void rotate(const float* x, const float* factors, std::size_t columns, std::size_t block, float* y) {
  constexpr std::size_t kFour = 4 * kLanes;
  if (block < kFour) {
    for_each_sixteen<isa>(
        columns, [=](auto load, auto store) { store(rotate_lanes<isa>(load(x) * load(factors), block), y); });
    for (std::size_t at = 0; block > kLanes && at < columns; at += block)
      vertical_stages<isa>(block, kLanes, y + at);
    return;
  }
  for (std::size_t at = 0; at < columns; at += block) {  // all of a block while it lies in the cache
    for (std::size_t i = at; i < at + block; i += kFour) first_six_stages<isa>(x + i, factors + i, y + i);
    vertical_stages<isa>(block, kFour, y + at);
  }
}

}  // namespace sterna::kernels
