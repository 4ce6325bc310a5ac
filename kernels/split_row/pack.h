// Into the layout of SplitView, and its bounds. The same bytes on every machine.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/views.h"

namespace sterna::kernels {

// One row of int8 values, each at least -127, to its high part (view.high_row_bytes()) and its three planes
// (view.plane_row_bytes() each).
void pack_split_row(const std::int8_t* values, std::size_t columns, std::uint8_t* high,
                    std::uint8_t* const (&planes)[kSplitPlanes]);

// The norms of SplitView's `bounds` for a row with these planes, rounded up: each is at least the real number
// and at most a millionth larger. bounds[0]: of what the high part leaves out, bounds[1]: with plane 0.
void split_bounds(const std::uint8_t* const (&planes)[kSplitPlanes], std::size_t columns, float* bounds);

}  // namespace sterna::kernels
