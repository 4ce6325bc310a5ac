#pragma once

#include "kernels/lanes/lanes.h"
#include "kernels/quantize/quantize.h"

namespace sterna::kernels {

// 127 / max(max |x|, 1e-5), or NaN if an x is NaN or infinite: then 0 x is NaN, else a zero.
template <Isa isa>
float quantization_factor(const float* x, std::size_t columns) {
  using F = F32x16<isa>;
  F largest = F::broadcast(1e-5f);
  F fault = F::zero();
  for_each_sixteen<isa>(columns, [&, x](auto load, auto) {
    const F v = load(x);
    largest = F::max(v.abs(), largest);
    fault = fault + v * F::zero();
  });
  return 127.0f / largest.maximum() + fault.sum();
}

// q and what quantize calls inverse_scale.
template <Isa isa>
float quantize_row(const float* x, std::size_t columns, std::size_t stride, std::int8_t* q) {
  using F = F32x16<isa>;
  const float a = quantization_factor<isa>(x, columns);
  std::size_t done = 0;
  if (a == a) {
    const F factor = F::broadcast(a);
    for (; done + kLanes <= columns; done += kLanes) (F::load(x + done) * factor).store_i8(q + done);
    if (done < columns) {  // the row is padded to whole sixteens, and the missing lanes are 0
      (load_first<isa>(x + done, columns - done) * factor).store_i8(q + done);
      done += kLanes;
    }
  }
  __builtin_memset(q + done, 0, stride - done);
  return 1.0f / a;
}

template <Isa isa>
void quantize(const float* x, std::size_t columns, std::size_t stride, std::int8_t* q, std::int32_t* sums,
              float* inverse_scale) {
  *inverse_scale = quantize_row<isa>(x, columns, stride, q);
  for (std::size_t begin = 0; begin < columns; begin += kGroupColumns) {
    const std::size_t end = begin + kGroupColumns < columns ? begin + kGroupColumns : columns;
    std::int32_t sum = 0;
    for (std::size_t c = begin; c < end; ++c) sum += q[c];
    sums[begin / kGroupColumns] = sum;
  }
}

}  // namespace sterna::kernels
