// The oracle for tests: exact, since every operation is a single rounding.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <vector>

#include "kernels/views.h"

namespace sterna::kernels {

struct ReferenceQuantized {
  std::vector<int> q, sums;
  float inverse_scale = 0;
};

inline ReferenceQuantized reference_quantize(std::span<const float> x) {
  ReferenceQuantized r{std::vector<int>(x.size()), std::vector<int>((x.size() + 127) / 128), 0};
  float largest = 1e-5f;
  bool finite = true;
  for (const float v : x) {
    largest = std::max(largest, std::fabs(v));
    finite = finite && std::isfinite(v);
  }
  const float a = 127.0f / largest;
  r.inverse_scale = finite ? 1.0f / a : std::numeric_limits<float>::quiet_NaN();
  for (std::size_t c = 0; c < x.size(); ++c) {
    r.q[c] = finite ? std::clamp(static_cast<int>(std::nearbyint(x[c] * a)), -128, 127) : 0;
    r.sums[c / 128] += r.q[c];
  }
  return r;
}

}  // namespace sterna::kernels
