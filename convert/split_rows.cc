#include "convert/split_rows.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "kernels/split_row/pack.h"

namespace sterna::convert {

SplitRows::SplitRows(const runtime::TensorDescriptor& descriptor) {
  shape_.rows = descriptor.rows;
  shape_.columns = descriptor.columns;
  values_.resize(shape_.columns);
  high_.resize(shape_.high_row_bytes());
  rest_.resize(shape_.code_bytes() - shape_.plane_at(0, 0) +
               shape_.rows * kernels::kSplitBounds * sizeof(float));
}

std::span<const std::byte> SplitRows::add(std::size_t row, std::span<const float> values, float scale) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    const float q = scale == 0.0F ? 0.0F : std::nearbyint(values[i] / scale);
    values_[i] = static_cast<std::int8_t>(std::clamp(q, -127.0F, 127.0F));
  }
  auto* const rest = reinterpret_cast<std::uint8_t*>(rest_.data());
  const auto plane = [&](std::size_t i) { return rest + shape_.plane_at(i, row) - shape_.plane_at(0, 0); };
  kernels::pack_split_row(values_.data(), values_.size(), high_.data(), {plane(0), plane(1), plane(2)});
  std::array<float, kernels::kSplitBounds> bounds{};
  kernels::split_bounds({plane(0), plane(1), plane(2)}, values_.size(), bounds.data());
  std::byte* const all = rest_.data() + shape_.code_bytes() - shape_.plane_at(0, 0);
  for (std::size_t i = 0; i < bounds.size(); ++i)
    std::memcpy(all + (i * shape_.rows + row) * sizeof(float), &bounds[i], sizeof(float));
  return std::as_bytes(std::span(high_));
}

}  // namespace sterna::convert
