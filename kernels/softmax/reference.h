// The oracle for tests, in double precision.
#pragma once

#include <cmath>
#include <span>
#include <vector>

#include "kernels/divergence/reference.h"

namespace sterna::kernels {

inline std::vector<double> reference_softmax(std::span<const float> x) {
  const double log_sum = reference_log_sum_exp(x.data(), x.size());
  std::vector<double> y;
  y.reserve(x.size());
  for (const float v : x) y.push_back(std::exp(static_cast<double>(v) - log_sum));
  return y;
}

}  // namespace sterna::kernels
