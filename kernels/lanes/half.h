// Half-precision formats in plain integer arithmetic, bit for bit what F16C and Advanced SIMD do (default
// rounding, subnormals kept). Baseline only: instruction-set files must not include this.
#pragma once

#include <cstdint>

#include "kernels/views.h"

namespace sterna::kernels {

inline std::uint32_t float_bits(float x) {
  std::uint32_t u = 0;
  __builtin_memcpy(&u, &x, sizeof u);
  return u;
}

inline float bits_float(std::uint32_t u) {
  float x = 0;
  __builtin_memcpy(&x, &u, sizeof x);
  return x;
}

inline float bf16_to_float(BFloat16Bits h) { return bits_float(static_cast<std::uint32_t>(h) << 16); }

// Without branches, so that a loop over it becomes vectors. The exponent bias differs by 112, and the
// multiplication is exact for normal and subnormal numbers alike; infinity and NaN (made quiet) then get
// their exponent.
inline float f16_to_float(Float16Bits h) {
  const std::uint32_t magnitude = (h & 0x7FFFu) << 13;
  const std::uint32_t infinity = 0x7C00u << 13;
  std::uint32_t u = float_bits(bits_float(magnitude) * 0x1p112f);
  u |= magnitude >= infinity ? 0x7F800000u : 0u;
  u |= magnitude > infinity ? 0x00400000u : 0u;
  return bits_float(u | (h & 0x8000u) << 16);
}

inline Float16Bits float_to_f16(float x) {
  const std::uint32_t u = float_bits(x);
  const std::uint32_t sign = (u >> 16) & 0x8000u;
  const std::uint32_t magnitude = u & 0x7FFFFFFFu;
  if (magnitude > 0x7F800000u) {  // NaN made quiet, upper payload kept
    return static_cast<Float16Bits>(sign | 0x7E00u | (magnitude >> 13 & 0x3FFu));
  }
  if (magnitude >= 0x477FF000u) return static_cast<Float16Bits>(sign | 0x7C00u);  // from 65520 on: infinity
  if (magnitude <
      0x38800000u) {  // below 2^-14: in steps of 2^-24, which the addition of 0.5 (ulp 2^-24) rounds
    return static_cast<Float16Bits>(sign | (float_bits(bits_float(magnitude) + 0.5f) - float_bits(0.5f)));
  }
  const std::uint32_t odd =
      (magnitude >> 13) & 1u;  // round half to even; a carry moves into the exponent as it should
  return static_cast<Float16Bits>(sign | ((magnitude - 0x38000000u + 0xFFFu + odd) >> 13));
}

}  // namespace sterna::kernels
