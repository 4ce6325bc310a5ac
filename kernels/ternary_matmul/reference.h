// The oracle for tests and benchmarks: one element at a time, with the float operations in the contract's
// order, so its results are the kernels' to the bit.
#pragma once

#include <algorithm>

#include "kernels/ternary_matmul/pack.h"

namespace sterna::kernels {

inline std::int64_t reference_dot(const TernaryView& w, const QuantizedView& x, std::size_t token,
                                  std::size_t row, std::size_t begin, std::size_t end) {
  std::int64_t sum = 0;
  for (std::size_t c = begin; c < end; ++c)
    sum += std::int64_t{unpack(w, row, c)} * x.q[token * x.stride + c];
  return sum;
}

inline float reference_ternary_matmul(const TernaryView& w, const QuantizedView& x, std::size_t token,
                                      std::size_t row) {
  const std::size_t group = w.group == 0 ? w.columns : w.group;
  float sum = 0;
  for (std::size_t begin = 0; begin < w.columns; begin += group) {
    const std::int64_t d = reference_dot(w, x, token, row, begin, std::min(begin + group, w.columns));
    sum += scale_at(w, row, begin) * static_cast<float>(d);
  }
  return x.inverse_scale[token] * sum;
}

}  // namespace sterna::kernels
