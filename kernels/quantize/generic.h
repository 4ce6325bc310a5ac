#pragma once

#include "kernels/lanes/lanes.h"
#include "kernels/quantize/quantize.h"

namespace sterna::kernels {

// 127 / max(max |x|, 1e-5), or NaN if an x is NaN or infinite: then 0 x is NaN, else 0.
template <Isa isa, class Value>
[[gnu::always_inline]] inline float quantization_factor(Value value, std::size_t columns) {
  using F = F32x16<isa>;
  F largest = F::broadcast(1e-5f);
  for_each_sixteen<isa>(columns, [&](auto load, auto) { largest = F::max_abs(value(load), largest); });
  return 127.0f / largest.maximum() + (largest * F::zero()).sum();
}

// The row whose sixteen lanes are value(load) (for_each_sixteen; the missing ones at the end are 0, or all of
// the row is a fault) to q, sums and what quantize calls inverse_scale. No sums where sums is nullptr. value
// is called twice: what it computes is cheaper than a trip to memory.
template <Isa isa, class Value>
[[gnu::always_inline]] inline float quantize_lanes(Value value, std::size_t columns, std::size_t stride,
                                                   std::int8_t* q, std::int32_t* sums) {
  using F = F32x16<isa>;
  const float a = quantization_factor<isa>(value, columns);
  const F factor = F::broadcast(a);
  const F magic = F::broadcast(kRoundingMagic);
  F sum = F::zero();  // of whole numbers, at most 128 * 127: exact
  std::size_t done = 0;
  const auto store_sum = [&] {
    if (sums != nullptr) *sums++ = static_cast<std::int32_t>(sum.sum());
    sum = F::zero();
  };
  if (a == a) {
    for_each_sixteen<isa>(columns, [&](auto load, auto) {
      const F rounded = (value(load) * factor + magic) - magic;
      rounded.store_i8(q + done);  // the row is padded to whole sixteens
      sum = sum + rounded;
      done += kLanes;
      if (done % kGroupColumns == 0) store_sum();
    });
    if (done % kGroupColumns != 0) store_sum();
  } else if (sums != nullptr) {
    __builtin_memset(sums, 0, round_up(columns, kGroupColumns) / kGroupColumns * sizeof *sums);
  }
  __builtin_memset(q + done, 0, stride - done);
  return 1.0f / a;
}

// The same of a row in memory.
template <Isa isa>
float quantize_row(const float* x, std::size_t columns, std::size_t stride, std::int8_t* q,
                   std::int32_t* sums = nullptr) {
  return quantize_lanes<isa>([x](auto load) { return load(x); }, columns, stride, q, sums);
}

template <Isa isa>
void quantize(const float* x, std::size_t columns, std::size_t stride, std::int8_t* q, std::int32_t* sums,
              float* inverse_scale) {
  *inverse_scale = quantize_row<isa>(x, columns, stride, q, sums);
}

}  // namespace sterna::kernels
