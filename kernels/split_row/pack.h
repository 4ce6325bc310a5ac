// Into the layout of SplitView, and its bounds. The same bytes on every machine.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/views.h"

namespace sterna::kernels {

// One row of int8 values, each at least -127, into a matrix of this shape (of `w` nothing else is used): its
// high part to `high`, its planes to where they are counted from `planes`, that of plane 0 of row 0, and its
// norms into `bounds`, those of all rows.
void pack_split_row(const SplitView& w, std::size_t row, const std::int8_t* values, std::uint8_t* high,
                    std::uint8_t* planes, float* bounds);

// The norms of SplitView's `bounds` for a row with these planes, rounded up: each is at least the real number
// and at most a millionth larger. bounds[0]: of what the high part leaves out, bounds[1]: with plane 0.
void split_bounds(const std::uint8_t* const (&planes)[kSplitPlanes], std::size_t columns, float* bounds);

}  // namespace sterna::kernels
