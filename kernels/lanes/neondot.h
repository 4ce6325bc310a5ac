// The lanes of NEON, compiled for its dot products.
#pragma once

#include "kernels/lanes/neon.h"

namespace sterna::kernels {

template <>
struct XsimdArch<Isa::neondot> {
  using type = xsimd::neon64;
};

template <>
struct LaneOps<Isa::neondot> : NeonLaneOps<Isa::neondot> {};

}  // namespace sterna::kernels
