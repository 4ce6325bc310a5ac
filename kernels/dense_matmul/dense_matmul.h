// Dense weights times float activations: the head, and whatever a model keeps out of the ternary format.
//
//     y[t, r] = sum over c: float(w[r, c]) * x[t, c]          f32, f16, bf16
//     y[t, r] = row_scales[r] * (the same sum)                i8
//
// The sum: the product of column c is added to lane c % 16 in ascending order, the lanes as a tree
// (docs/kernels.md). So the result of a token depends neither on the other tokens nor on how rows and tokens
// are split. Conversions to float32 are exact.
#pragma once

#include <cstddef>

#include "kernels/isa.h"
#include "kernels/views.h"

namespace sterna::kernels {

// Rows row_begin .. row_end of every token, y[t * y_stride + r]; other elements of y are not touched. x:
// token t starts at x + t * x_stride and has w.columns floats. No alignment needed.
template <Isa isa>
void dense_matmul(const DenseView& w, const float* x, std::size_t tokens, std::size_t x_stride,
                  std::size_t row_begin, std::size_t row_end, float* y, std::size_t y_stride);

}  // namespace sterna::kernels
