// The oracle for tests, in double precision.
#pragma once

#include <cmath>

#include "kernels/gated_activation/gated_activation.h"

namespace sterna::kernels {

inline double reference_gated(double gate, double up, GateFunction function) {
  if (function == GateFunction::silu) return gate / (1 + std::exp(-gate)) * up;
  return gate > 0 ? gate * gate * up : 0 * up;
}

}  // namespace sterna::kernels
