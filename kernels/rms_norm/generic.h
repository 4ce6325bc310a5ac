#pragma once

#include "kernels/lanes/lanes.h"
#include "kernels/quantize/generic.h"
#include "kernels/rms_norm/rms_norm.h"

namespace sterna::kernels {

// r.
template <Isa isa>
F32x16<isa> inverse_rms(const float* x, std::size_t n, float eps) {
  using F = F32x16<isa>;
  F squares = F::zero();
  for_each_sixteen<isa>(n, [&, x](auto load, auto) {
    const F v = load(x);
    squares = squares + v * v;
  });
  return F::broadcast(1.0f / __builtin_sqrtf(squares.sum() / static_cast<float>(n) + eps));
}

// body(value), where value(load) is sixteen lanes of y (for_each_sixteen).
template <Isa isa, class Body>
[[gnu::always_inline]] inline void with_normed(const float* x, const float* weight, F32x16<isa> r,
                                               Body body) {
  if (weight == nullptr) {
    body([=](auto load) { return load(x) * r; });
  } else {
    body([=](auto load) { return load(weight) * (load(x) * r); });
  }
}

template <Isa isa>
void rms_norm(const float* x, const float* weight, std::size_t n, float eps, float* y) {
  with_normed<isa>(x, weight, inverse_rms<isa>(x, n, eps), [=](auto value) {
    for_each_sixteen<isa>(n, [=](auto load, auto store) { store(value(load), y); });
  });
}

template <Isa isa>
void rms_norm_quantize(const float* x, const float* weight, std::size_t columns, float eps,
                       std::size_t stride, std::int8_t* q, std::int32_t* sums, float* inverse_scale) {
  with_normed<isa>(x, weight, inverse_rms<isa>(x, columns, eps), [=](auto value) {
    *inverse_scale = quantize_lanes<isa>(value, columns, stride, q, sums);
  });
}

}  // namespace sterna::kernels
