#include "kernels/split_row/pack.h"

#include <bit>
#include <cmath>
#include <cstring>

namespace sterna::kernels {
namespace {

// Columns in which two planes differ; padding is zero in both.
std::size_t differences(const std::uint8_t* x, const std::uint8_t* y, std::size_t bytes) {
  std::size_t count = 0;
  for (std::size_t at = 0; at < bytes; at += sizeof(std::uint64_t)) {
    std::uint64_t a = 0;
    std::uint64_t b = 0;
    std::memcpy(&a, x + at, sizeof a);
    std::memcpy(&b, y + at, sizeof b);
    count += static_cast<std::size_t>(std::popcount(a ^ b));
  }
  return count;
}

// The next float but one above the root of a sum of quarters, which a double holds exactly.
float root_above(double squares) { return static_cast<float>(std::sqrt(squares) * (1 + 0x1p-22)); }

}  // namespace

void pack_split_row(const SplitView& w, std::size_t row, const std::int8_t* values, std::uint8_t* high,
                    std::uint8_t* planes, float* bounds) {
  std::uint8_t* fifths = high + w.chunks() * 64;
  std::memset(high, 0, w.high_row_bytes());
  std::uint8_t* of_row[kSplitPlanes];
  for (std::size_t plane = 0; plane < kSplitPlanes; ++plane) {
    of_row[plane] = planes + w.plane_at(plane, row) - w.plane_at(0, 0);
    std::memset(of_row[plane], 0, w.plane_row_bytes());
  }
  for (std::size_t column = 0; column < w.columns; ++column) {
    const auto value = static_cast<unsigned>(values[column] + 128);
    const std::size_t j = column % kSplitColumns;
    const std::size_t at = column / kSplitColumns * kPlaneChunk + j % 16;
    const auto put = [&](std::uint8_t& byte, unsigned bits, std::size_t shift) {
      byte = static_cast<std::uint8_t>(byte | bits << shift);
    };
    const std::size_t shift = (j / 16 + 4) % 8;
    put(high[column / kSplitColumns * 64 + j % 64], value >> 3 & 15U, j / 64 * 4);
    put(fifths[at], value >> 7, shift);
    for (std::size_t plane = 0; plane < kSplitPlanes; ++plane)
      put(of_row[plane][at], value >> (2 - plane) & 1U, shift);
  }
  float norms[kSplitBounds];
  split_bounds({of_row[0], of_row[1], of_row[2]}, w.columns, norms);
  for (std::size_t i = 0; i < kSplitBounds; ++i) bounds[i * w.rows + row] = norms[i];
}

// With A = 2a - 1 and so on, each 1 or -1: 4a + 2b + c - 3.5 = 2A + B + C/2, whose square is 5.25 + 4AB + 2AC
// + BC; 2b + c - 1.5 = B + C/2, whose square is 1.25 + BC. A product is 1 - 2 where the bits differ.
void split_bounds(const std::uint8_t* const (&planes)[kSplitPlanes], std::size_t columns, float* bounds) {
  const std::size_t bytes = round_up(columns, kSplitColumns) / kSplitColumns * kPlaneChunk;
  const auto n = static_cast<double>(columns);
  const auto product = [&](std::size_t x, std::size_t y) {
    return n - 2.0 * static_cast<double>(differences(planes[x], planes[y], bytes));
  };
  const double bc = product(1, 2);
  bounds[0] = root_above(5.25 * n + 4 * product(0, 1) + 2 * product(0, 2) + bc);
  bounds[1] = root_above(1.25 * n + bc);
}

}  // namespace sterna::kernels
