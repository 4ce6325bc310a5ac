#pragma once

#include "kernels/lanes/lanes.h"
#include "kernels/rope/rope.h"

namespace sterna::kernels {

template <Isa isa>
void rope(float* x, std::size_t heads, std::size_t head_dim, const float* cos, const float* sin) {
  using F = F32x16<isa>;
  const std::size_t half = head_dim / 2;
  for (std::size_t h = 0; h < heads; ++h) {
    float* first = x + h * head_dim;
    float* second = first + half;
    for_each_sixteen<isa>(half, [=](auto load, auto store) {
      const F a = load(first);
      const F b = load(second);
      const F c = load(cos);
      const F s = load(sin);
      store(a * c - b * s, first);
      store(b * c + a * s, second);
    });
  }
}

}  // namespace sterna::kernels
