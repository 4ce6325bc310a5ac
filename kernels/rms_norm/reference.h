// The oracle for tests, in double precision.
#pragma once

#include <cmath>
#include <cstddef>

namespace sterna::kernels {

inline void reference_rms_norm(const float* x, const float* weight, std::size_t n, float eps, double* y) {
  double squares = 0;
  for (std::size_t i = 0; i < n; ++i) squares += static_cast<double>(x[i]) * x[i];
  const double r = 1 / std::sqrt(squares / static_cast<double>(n) + eps);
  for (std::size_t i = 0; i < n; ++i) y[i] = (weight == nullptr ? 1.0 : weight[i]) * (x[i] * r);
}

}  // namespace sterna::kernels
