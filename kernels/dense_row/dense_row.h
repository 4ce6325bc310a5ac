// One row of a dense matrix as float32: the embedding of a token.
//
//     out[c] = float(w[row, c])                      f32, f16, bf16: exact
//     out[c] = row_scales[row] * float(w[row, c])    i8
#pragma once

#include <cstddef>

#include "kernels/isa.h"
#include "kernels/views.h"

namespace sterna::kernels {

// row < w.rows; out: w.columns floats. No alignment needed.
template <Isa isa>
void dense_row(const DenseView& w, std::size_t row, float* out);

}  // namespace sterna::kernels
