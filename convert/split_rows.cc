#include "convert/split_rows.h"

#include <algorithm>
#include <cmath>

#include "kernels/split_row/pack.h"

namespace sterna::convert {

float int8_step(std::span<const float> row) {
  float largest = 0.0F;
  for (const float x : row) largest = std::max(largest, std::fabs(x));
  return largest / 127.0F;
}

float int8_level(float value, float step) {
  return step == 0.0F ? 0.0F : std::clamp(std::nearbyint(value / step), -127.0F, 127.0F);
}

SplitRows::SplitRows(const runtime::TensorDescriptor& descriptor) {
  shape_.rows = descriptor.rows;
  shape_.columns = descriptor.columns;
  values_.resize(shape_.columns);
  high_.resize(shape_.high_row_bytes());
  planes_.resize(shape_.code_bytes() - shape_.plane_at(0, 0));
  bounds_.resize(shape_.rows * kernels::kSplitBounds);
}

std::span<const std::byte> SplitRows::add(std::size_t row, std::span<const float> values, float step) {
  for (std::size_t i = 0; i < values.size(); ++i)
    values_[i] = static_cast<std::int8_t>(int8_level(values[i], step));
  kernels::pack_split_row(shape_, row, values_.data(), high_.data(), planes_.data(), bounds_.data());
  return std::as_bytes(std::span(high_));
}

}  // namespace sterna::convert
