// The softmax of a row of scores.
//
//     y[i] = exp(x[i] - max x) / sum exp(x[j] - max x)
//
// exp is the polynomial of lanes/math.h; the sum is added up as divergence/divergence.h describes, and the
// division is a multiplication by float(1 / sum). -infinity gives 0, unless all of x is; then, and with a NaN
// anywhere, all of y is NaN.
#pragma once

#include <cstddef>

#include "kernels/isa.h"

namespace sterna::kernels {

// n >= 1 floats each, no alignment needed; y may be x, other overlap is not allowed.
template <Isa isa>
void softmax(const float* x, std::size_t n, float* y);

}  // namespace sterna::kernels
