// The oracle for tests: the binary16 value nearest to x, from the definition of the format.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

namespace sterna::kernels {

inline double reference_round_to_f16(float x) {
  if (!std::isfinite(x)) return x;
  int exponent = 0;
  std::frexp(x, &exponent);  // |x| in [2^(exponent-1), 2^exponent)
  const double step =
      std::ldexp(1.0, std::max(exponent - 11, -24));       // 11 significant bits; subnormals in 2^-24
  const double rounded = std::nearbyint(x / step) * step;  // exact but for the rounding, ties to even
  if (std::fabs(rounded) > 65504) return std::copysign(std::numeric_limits<double>::infinity(), rounded);
  return rounded;
}

}  // namespace sterna::kernels
