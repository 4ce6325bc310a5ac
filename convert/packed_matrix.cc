#include "convert/packed_matrix.h"

#include <cassert>
#include <cstring>

#include "kernels/lanes/half.h"
#include "kernels/ternary_matmul/pack.h"

namespace sterna::convert {

using kernels::kTileRows;

AlignedBytes::AlignedBytes(std::size_t size, std::uint8_t fill)
    : data_(static_cast<std::uint8_t*>(::operator new(size, kAlignment))), size_(size) {
  std::memset(data_.get(), fill, size);
}

float stored_scale(float scale, kernels::ScaleType type) {
  return type == kernels::ScaleType::f16 ? kernels::f16_to_float(kernels::float_to_f16(scale)) : scale;
}

bool near_f16(float scale) {
  const float half = stored_scale(scale, kernels::ScaleType::f16);
  return scale == 0.0F || (half >= 0x1p-14F && half <= 65504.0F);
}

PackedMatrix PackedMatrix::zeros(std::size_t rows, std::size_t columns, std::size_t planes, std::size_t group,
                                 kernels::ScaleType scale_type) {
  assert(rows >= 1 && columns >= 1 && columns <= kernels::kMaxColumns);
  assert(planes >= 1 && planes <= kernels::kMaxPlanes && (group == 0 || group == kernels::kGroupColumns));
  PackedMatrix matrix;
  matrix.rows = rows;
  matrix.columns = columns;
  matrix.planes = planes;
  matrix.codes = AlignedBytes(matrix.view().code_bytes(), 0x55);  // code 1, T = 0, four times
  matrix.reset_scales(group, scale_type);
  return matrix;
}

void PackedMatrix::reset_scales(std::size_t new_group, kernels::ScaleType type) {
  group = new_group;
  scale_type = type;
  scales = AlignedBytes(view().scale_count() * (type == kernels::ScaleType::f32 ? 4 : 2), 0);
}

kernels::TernaryView PackedMatrix::view() const {
  return {rows, columns, planes, group, scale_type, codes.data(), scales.data()};
}

void PackedMatrix::set_block(std::size_t first_row, std::span<const std::int8_t> k) {
  const std::size_t count = k.size() / columns;
  assert(first_row % kTileRows == 0 && count * columns == k.size());
  assert(count <= kTileRows && first_row + count <= rows &&
         (count == kTileRows || first_row + count == rows));
  kernels::pack_rows(k.data(), count, columns, planes,
                     codes.data() + kernels::packed_bytes(first_row, columns, planes));
}

void PackedMatrix::set_scale(std::size_t row, std::size_t group_index, float scale) {
  assert(row < rows && group_index < view().groups() && (group != 0 || row == 0));
  const std::size_t at = (row / kTileRows * view().groups() + group_index) * kTileRows + row % kTileRows;
  if (scale_type == kernels::ScaleType::f32) {
    std::memcpy(scales.data() + at * 4, &scale, 4);
  } else {
    const kernels::Float16Bits half = kernels::float_to_f16(scale);
    std::memcpy(scales.data() + at * 2, &half, 2);
  }
}

}  // namespace sterna::convert
