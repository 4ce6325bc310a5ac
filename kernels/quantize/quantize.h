// One token's activations to int8, as BitNet b1.58 does it (Hugging Face transformers,
// integrations/bitnet.py, activation_quant and ActQuant):
//
//     a = 127 / max(max |x|, 1e-5)                 float32
//     q = clamp(round_half_even(x * a), -128, 127)
//     inverse_scale = 1 / a
//     sums[g] = sum of q over the columns 128g .. 128g+127
//
// There the product is divided by a (BitLinear: by a * weight_scale) or each q is (AutoBitLinear); a
// multiplication by the rounded 1 / a is within one more rounding, 2^-24 relative, of either. max|x| / 127
// would not be the inverse of the a that made q.
//
// Limits: |x * a| <= 127 (1 + 2^-24)^2, so |q| <= 127: -128 never occurs. |sums| <= 128 * 127. a is in
// [3.7e-37, 1.27e7] and 1 / a in [7.8e-8, 2.7e36]: neither over- nor underflows.
// A NaN or infinity anywhere in x: q and sums are 0 and inverse_scale is NaN, so that every product with this
// token is NaN and the fault shows instead of turning into a plausible number.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/isa.h"

namespace sterna::kernels {

// x: columns >= 1 floats. q: stride >= columns bytes, a multiple of 16; q[columns .. stride) become 0.
// sums: ceil(columns / 128) values. inverse_scale: one value. No alignment needed; no overlap allowed.
template <Isa isa>
void quantize(const float* x, std::size_t columns, std::size_t stride, std::int8_t* q, std::int32_t* sums,
              float* inverse_scale);

}  // namespace sterna::kernels
