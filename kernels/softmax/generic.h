#pragma once

#include "kernels/divergence/generic.h"
#include "kernels/softmax/softmax.h"

namespace sterna::kernels {

template <Isa isa>
void softmax(const float* x, std::size_t n, float* y) {
  using F = F32x16<isa>;
  const SoftmaxTotal sums = softmax_total<isa>(x, n);
  const F top = F::broadcast(sums.maximum);
  const F share = F::broadcast(static_cast<float>(1.0 / sums.total));
  for_each_sixteen<isa>(n, [=](auto load, auto store) { store(exp<isa>(load(x) - top) * share, y); });
}

}  // namespace sterna::kernels
