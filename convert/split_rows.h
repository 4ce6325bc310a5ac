// Float rows to a split int8 matrix (kernels/views.h, SplitView), row after row.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "runtime/format.h"

namespace sterna::convert {

class SplitRows {
 public:
  explicit SplitRows(const runtime::TensorDescriptor& descriptor);

  // The high part of this row, until the next call: values round to multiples of `scale`, at most 127 of
  // them. What comes after all high parts is kept.
  std::span<const std::byte> add(std::size_t row, std::span<const float> values, float scale);

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
