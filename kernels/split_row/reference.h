// The oracle for tests: one value from the definition in views.h.
#pragma once

#include "kernels/views.h"

namespace sterna::kernels {

inline int reference_split_bit(const std::uint8_t* plane, std::size_t column) {
  const std::size_t j = column % kSplitColumns;
  return plane[column / kSplitColumns * kPlaneChunk + j % 16] >> (j / 16 + 4) % 8 & 1;
}

inline int reference_split(const SplitView& w, std::size_t row, std::size_t column) {
  const std::uint8_t* high = w.codes + w.high_at(row);
  const std::size_t j = column % kSplitColumns;
  int value = high[column / kSplitColumns * 64 + j % 64] >> j / 64 * 4 & 15;
  value += 16 * reference_split_bit(high + w.chunks() * 64, column);
  for (std::size_t plane = 0; plane < kSplitPlanes; ++plane)
    value = 2 * value + reference_split_bit(w.codes + w.plane_at(plane, row), column);
  return value - 128;
}

}  // namespace sterna::kernels
