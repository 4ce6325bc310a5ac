// The instruction sets a kernel may exist for. Which of them a binary contains: STERNA_KERNEL_ISAS in
// kernels.inc.
#pragma once

#include <cstdint>

namespace sterna::kernels {

enum class Isa : std::uint8_t {
  scalar,  // the compiler's baseline; the definition of every result
  avx2,    // x86-64: AVX2 and F16C
  neon,    // AArch64: Advanced SIMD as in ARMv8.0 (no dot product)
};

}  // namespace sterna::kernels
