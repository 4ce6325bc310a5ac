// The lanes of NEON, compiled for its dot products.
#pragma once

#include "kernels/lanes/neon.h"

namespace sterna::kernels {

template <>
struct XsimdArch<Isa::neondot> {
  using type = xsimd::neon64;
};

template <>
struct LaneOps<Isa::neondot> : NeonLaneOps<Isa::neondot> {
  static Totals add_products(Totals totals, Bytes x, const Factor* y) {
    return vdotq_s32(totals, x, vld1q_s8(y));
  }
};

}  // namespace sterna::kernels
