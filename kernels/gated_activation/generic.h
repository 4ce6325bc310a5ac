#pragma once

#include "kernels/gated_activation/gated_activation.h"
#include "kernels/lanes/lanes.h"
#include "kernels/lanes/math.h"

namespace sterna::kernels {

template <Isa isa>
void gated_activation(const float* gate, const float* up, std::size_t n, GateFunction function, float* out) {
  using F = F32x16<isa>;
  const F zero = F::zero();
  const F one = F::broadcast(1.0f);
  if (function == GateFunction::silu) {
    for_each_sixteen<isa>(n, [&](auto load, auto store) {
      const F g = load(gate);
      store(g / (one + exp<isa>(zero - g)) * load(up), out);
    });
  } else {
    for_each_sixteen<isa>(n, [&](auto load, auto store) {
      const F m = F::max(zero, load(gate));  // in this order a NaN is kept
      store(m * m * load(up), out);
    });
  }
}

}  // namespace sterna::kernels
