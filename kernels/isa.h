// The instruction sets a kernel may exist for. Which of them a binary contains: STERNA_KERNEL_ISAS in
// kernels.inc.
#pragma once

#include <cstdint>

namespace sterna::kernels {

enum class Isa : std::uint8_t {
  scalar,      // the compiler's baseline; the definition of every result
  avx2,        // x86-64: AVX2 and F16C
  avxvnni,     // and AVX-VNNI: u8 x s8 dot products in 256 bits (Alder Lake, Zen 5)
  avx512,      // and AVX-512 F, BW, DQ, VL (Skylake-X)
  avx512vnni,  // and AVX-512 VNNI and VBMI (Ice Lake, Zen 4)
  neon,        // AArch64: Advanced SIMD as in ARMv8.0 (no dot product)
  neondot,     // and FEAT_DotProd (Cortex-A76, Apple A11)
  neoni8mm,    // and FEAT_I8MM: 2 x 8 times 8 x 2 products of int8 (Neoverse V1, Apple M2)
};

}  // namespace sterna::kernels
