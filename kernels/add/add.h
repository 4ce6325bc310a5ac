// y[i] <- y[i] + x[i]: the residual.
#pragma once

#include <cstddef>

#include "kernels/isa.h"

namespace sterna::kernels {

// n floats each; no alignment needed; no overlap.
template <Isa isa>
void add(const float* x, std::size_t n, float* y);

}  // namespace sterna::kernels
