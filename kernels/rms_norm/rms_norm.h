// Root mean square normalisation (Zhang and Sennrich 2019), in the order of Hugging Face's LlamaRMSNorm:
//
//     y[i] = weight[i] * (x[i] * r),   r = 1 / sqrt(mean(x^2) + eps)
//
// mean: x[i]^2 is added to lane i % 16 in ascending order, the lanes as a tree (docs/kernels.md), then
// divided by float(n). Limits: x^2 overflows float32 from |x| = 1.8e19; then r = 0 and y = 0 (or NaN for x =
// inf).
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/isa.h"

namespace sterna::kernels {

// n >= 1. weight == nullptr: no gain, y = x * r. y == x is allowed, other overlap is not. No alignment
// needed.
template <Isa isa>
void rms_norm(const float* x, const float* weight, std::size_t n, float eps, float* y);

// rms_norm, and then quantize of its y, which is not written: the same bits, whatever x holds. Shapes as of
// quantize (quantize.h); no overlap.
template <Isa isa>
void rms_norm_quantize(const float* x, const float* weight, std::size_t columns, float eps,
                       std::size_t stride, std::int8_t* q, std::int32_t* sums, float* inverse_scale);

}  // namespace sterna::kernels
