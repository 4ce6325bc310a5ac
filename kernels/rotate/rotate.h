// Input rotation: the product of each block of B columns with a Walsh-Hadamard matrix, signs in front. A
// matrix that stores W' = W R gives W x as W' x' with
//
//     x' = R^T x,   R = diag(s) blockdiag(H, H, ...),   s[i] = 1 or -1
//     H[i][j] = (-1)^popcount(i & j) / sqrt(B),   0 <= i, j < B        (Sylvester's; symmetric, H H = 1)
//
// so x' is, block by block, H (s o x): it spreads a large value over its block before int8 has to hold it.
// With factors[i] = s[i] * float(1 / sqrt(B)) (factors.h) no further multiplication is left:
//
//     y = x o factors, then for S = 1, 2, 4, .. B/2, for every pair of columns i and i + S whose i has S's
//     bit clear:  (y[i], y[i + S]) <- (y[i] + y[i + S], y[i] - y[i + S])
//
// One order of stages on every instruction set, and an output of a stage is one addition or subtraction, so
// all return the same bits. Limits: |y[i]| <= sum |x o factors| over the block; inside the float range as
// long as that is. A NaN or infinity in x reaches all of its block.
#pragma once

#include <cstddef>

#include "kernels/isa.h"

namespace sterna::kernels {

// columns floats each; block: B, a power of two that divides columns (1: the product with the factors only).
// y == x is allowed, other overlap is not. No alignment needed.
template <Isa isa>
void rotate(const float* x, const float* factors, std::size_t columns, std::size_t block, float* y);

}  // namespace sterna::kernels
