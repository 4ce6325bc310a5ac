// The oracle for tests, in double precision.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace sterna::kernels {

inline double reference_log_sum_exp(const float* x, std::size_t n) {
  const double top = *std::max_element(x, x + n);
  double sum = 0;
  for (std::size_t i = 0; i < n; ++i) sum += std::exp(static_cast<double>(x[i]) - top);
  return top + std::log(sum);
}

inline double reference_divergence(const float* p, const float* q, std::size_t n) {
  const double p_sum = reference_log_sum_exp(p, n);
  const double q_sum = reference_log_sum_exp(q, n);
  double kl = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const double log_p = static_cast<double>(p[i]) - p_sum;
    kl += std::exp(log_p) * (log_p - (static_cast<double>(q[i]) - q_sum));
  }
  return kl;
}

}  // namespace sterna::kernels
