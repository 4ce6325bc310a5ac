// The oracle for tests, in double precision.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/attention/attention.h"
#include "kernels/dense_row/reference.h"

namespace sterna::kernels {

inline double reference_cached(const void* rows, KvType type, std::size_t at) {
  return type == KvType::f32 ? static_cast<const float*>(rows)[at]
                             : reference_half(static_cast<const std::uint16_t*>(rows)[at], 5);
}

inline std::vector<double> reference_attention(const AttentionArgs& a) {
  std::vector<double> p(a.n), out(a.head_dim);
  for (std::size_t j = 0; j < a.n; ++j) {
    for (std::size_t i = 0; i < a.head_dim; ++i) {
      p[j] += a.scale * (a.q[i] * reference_cached(a.keys, a.type, j * a.key_stride + i));
    }
  }
  const double largest = *std::max_element(p.begin(), p.end());
  double total = 0;
  for (double& s : p) total += s = std::exp(s - largest);
  for (std::size_t j = 0; j < a.n; ++j) {
    for (std::size_t i = 0; i < a.head_dim; ++i) {
      out[i] += p[j] / total * reference_cached(a.values, a.type, j * a.value_stride + i);
    }
  }
  return out;
}

}  // namespace sterna::kernels
