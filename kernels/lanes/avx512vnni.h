// The lanes of AVX-512, compiled for AVX-512 VNNI.
#pragma once

#include "kernels/lanes/avx512.h"

namespace sterna::kernels {

template <>
struct XsimdArch<Isa::avx512vnni> {
  using type = xsimd::avx512f;
};

template <>
struct LaneOps<Isa::avx512vnni> : Avx512LaneOps<Isa::avx512vnni> {};

}  // namespace sterna::kernels
