// The gate of a feed-forward block.
//
//     silu:   out[i] = (g / (1 + exp(-g))) * up[i],  g = gate[i]        SwiGLU (Shazeer 2020)
//     relu2:  out[i] = (m * m) * up[i],              m = max(gate[i], 0)  BitNet b1.58 2B4T
//
// exp is the polynomial of lanes/math.h. silu(-inf) is NaN as in IEEE arithmetic (-inf / inf); NaN stays NaN.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/isa.h"

namespace sterna::kernels {

enum class GateFunction : std::uint8_t { silu, relu2 };

// n floats each. out may be gate or up; other overlap is not allowed. No alignment needed.
template <Isa isa>
void gated_activation(const float* gate, const float* up, std::size_t n, GateFunction function, float* out);

}  // namespace sterna::kernels
