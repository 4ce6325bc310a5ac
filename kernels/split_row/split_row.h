// One row of a split int8 matrix put together again: the int8 values that it was made of.
//
//     out[c] = 8 u + 4 a + 2 b + c - 128        (views.h, SplitView)
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/isa.h"
#include "kernels/views.h"

namespace sterna::kernels {

// out: `columns` values. No alignment needed; nothing past the parts of the row is read.
template <Isa isa>
void split_row(const SplitRow& row, std::size_t columns, std::int8_t* out);

}  // namespace sterna::kernels
