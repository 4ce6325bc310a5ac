// Rotary position embedding (Su et al. 2021) in the rotate-half form that Hugging Face models use, for one
// token, in place; per head, with h = head_dim / 2 and i < h:
//
//     x[i]     <- x[i] * cos[i] - x[i + h] * sin[i]
//     x[i + h] <- x[i + h] * cos[i] + x[i] * sin[i]
#pragma once

#include <cstddef>

#include "kernels/isa.h"

namespace sterna::kernels {

// x: heads * head_dim floats, head_dim even. cos, sin: head_dim / 2 values of this position. No alignment
// needed.
template <Isa isa>
void rope(float* x, std::size_t heads, std::size_t head_dim, const float* cos, const float* sin);

}  // namespace sterna::kernels
