#include "convert/split_rows.h"

#include <algorithm>
#include <cmath>

#include "kernels/split_row/pack.h"

namespace sterna::convert {

SplitRows::SplitRows(const runtime::TensorDescriptor& descriptor) {
  shape_.rows = descriptor.rows;
  shape_.columns = descriptor.columns;
  values_.resize(shape_.columns);
  high_.resize(shape_.high_row_bytes());
  planes_.resize(shape_.code_bytes() - shape_.plane_at(0, 0));
  bounds_.resize(shape_.rows * kernels::kSplitBounds);
}

std::span<const std::byte> SplitRows::add(std::size_t row, std::span<const float> values, float scale) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    const float q = scale == 0.0F ? 0.0F : std::nearbyint(values[i] / scale);
    values_[i] = static_cast<std::int8_t>(std::clamp(q, -127.0F, 127.0F));
  }
  kernels::pack_split_row(shape_, row, values_.data(), high_.data(), planes_.data(), bounds_.data());
  return std::as_bytes(std::span(high_));
}

}  // namespace sterna::convert
