#pragma once

#include "kernels/lanes/lanes.h"
#include "kernels/rms_norm/rms_norm.h"

namespace sterna::kernels {

template <Isa isa>
void rms_norm(const float* x, const float* weight, std::size_t n, float eps, float* y) {
  using F = F32x16<isa>;
  F squares = F::zero();
  for_each_sixteen<isa>(n, [&, x](auto load, auto) {
    const F v = load(x);
    squares = squares + v * v;
  });
  const F r = F::broadcast(1.0f / __builtin_sqrtf(squares.sum() / static_cast<float>(n) + eps));
  if (weight == nullptr) {
    for_each_sixteen<isa>(n, [&](auto load, auto store) { store(load(x) * r, y); });
  } else {
    for_each_sixteen<isa>(n, [&](auto load, auto store) { store(load(weight) * (load(x) * r), y); });
  }
}

}  // namespace sterna::kernels
