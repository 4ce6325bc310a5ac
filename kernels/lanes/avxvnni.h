// The lanes of AVX2, compiled for AVX-VNNI.
#pragma once

#include "kernels/lanes/avx2.h"

namespace sterna::kernels {

template <>
struct XsimdArch<Isa::avxvnni> {
  using type = xsimd::avx2;
};

template <>
struct LaneOps<Isa::avxvnni> : Avx2LaneOps<Isa::avxvnni> {};

}  // namespace sterna::kernels
