// Float rows to a split int8 matrix (kernels/views.h, SplitView), row after row.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "runtime/format.h"

namespace sterna::convert {

// A row as int8: multiples of one step, |n| <= 127. The step of a row of zeros is 0.
float int8_step(std::span<const float> row);
// The nearest multiple of it, ties to even, as its factor.
float int8_level(float value, float step);

class SplitRows {
 public:
  explicit SplitRows(const runtime::TensorDescriptor& descriptor);

  // The high part of this row, until the next call: values become int8_level(value, step). What comes after
  // all high parts is kept.
  std::span<const std::byte> add(std::size_t row, std::span<const float> values, float step);

  [[nodiscard]] std::size_t high_bytes() const { return shape_.rows * shape_.high_row_bytes(); }

  // After the last row: the planes, which the file has next, and the bounds.
  [[nodiscard]] std::span<const std::byte> planes() const { return std::as_bytes(std::span(planes_)); }
  [[nodiscard]] std::span<const std::byte> bounds() const { return std::as_bytes(std::span(bounds_)); }

 private:
  kernels::SplitView shape_;
  std::vector<std::int8_t> values_;
  std::vector<std::uint8_t> high_;
  std::vector<std::uint8_t> planes_;
  std::vector<float> bounds_;
};

}  // namespace sterna::convert
