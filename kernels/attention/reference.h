// The oracle for tests, in double precision.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/attention/attention.h"
#include "kernels/dense_row/reference.h"
#include "kernels/quantize/reference.h"

namespace sterna::kernels {

// Element i of row j.
inline double reference_cached(const void* rows, KvType type, std::size_t stride, const float* scales,
                               std::size_t j, std::size_t i) {
  const std::size_t at = j * stride + i;
  if (type == KvType::i8) return double{scales[j]} * static_cast<const std::int8_t*>(rows)[at];
  return type == KvType::f32 ? static_cast<const float*>(rows)[at]
                             : reference_half(static_cast<const std::uint16_t*>(rows)[at], 5);
}

inline double reference_key(const AttentionArgs& a, std::size_t j, std::size_t i) {
  return reference_cached(a.keys, a.type, a.key_stride, a.key_scales, j, i);
}

inline double reference_value(const AttentionArgs& a, std::size_t j, std::size_t i) {
  return reference_cached(a.values, a.type, a.value_stride, a.value_scales, j, i);
}

inline std::vector<double> reference_query(const AttentionArgs& a) {
  std::vector<double> q(a.q, a.q + a.head_dim);
  if (a.type == KvType::i8) {
    const ReferenceQuantized quantized = reference_quantize({a.q, a.head_dim});
    for (std::size_t i = 0; i < a.head_dim; ++i) q[i] = double{quantized.inverse_scale} * quantized.q[i];
  }
  return q;
}

inline std::vector<double> reference_attention(const AttentionArgs& a) {
  std::vector<double> p(a.n), out(a.head_dim);
  const std::vector<double> q = reference_query(a);
  for (std::size_t j = 0; j < a.n; ++j) {
    for (std::size_t i = 0; i < a.head_dim; ++i) {
      p[j] += a.scale * (q[i] * reference_key(a, j, i));
    }
  }
  const double largest = *std::max_element(p.begin(), p.end());
  double total = 0;
  for (double& s : p) total += s = std::exp(s - largest);
  for (std::size_t j = 0; j < a.n; ++j) {
    for (std::size_t i = 0; i < a.head_dim; ++i) {
      out[i] += p[j] / total * reference_value(a, j, i);
    }
  }
  return out;
}

}  // namespace sterna::kernels
