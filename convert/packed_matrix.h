// A ternary matrix in kernel order (kernels/views.h) that owns its memory, and the one place that fills it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <span>

#include "kernels/views.h"

namespace sterna::convert {

// Bytes at a 64-byte boundary.
class AlignedBytes {
 public:
  AlignedBytes() = default;
  AlignedBytes(std::size_t size, std::uint8_t fill);

  [[nodiscard]] std::uint8_t* data() { return data_.get(); }
  [[nodiscard]] const std::uint8_t* data() const { return data_.get(); }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::span<const std::byte> bytes() const {
    return std::as_bytes(std::span<const std::uint8_t>(data_.get(), size_));
  }

 private:
  static constexpr std::align_val_t kAlignment{64};
  struct Free {
    void operator()(std::uint8_t* p) const { ::operator delete(p, kAlignment); }
  };
  std::unique_ptr<std::uint8_t[], Free> data_;
  std::size_t size_ = 0;
};

// What becomes of a scale that is stored so, and whether that is near: 0, or normal as f16.
float stored_scale(float scale, kernels::ScaleType type);
bool near_f16(float scale);

struct PackedMatrix {
  std::size_t rows = 0;
  std::size_t columns = 0;
  std::size_t planes = 1;
  std::size_t group = 0;  // 0: one scale, or kernels::kGroupColumns
  kernels::ScaleType scale_type = kernels::ScaleType::f32;
  AlignedBytes codes;   // view().code_bytes() bytes
  AlignedBytes scales;  // view().scale_count() values; padding rows have scale 0

  // All weights 0. Sizes: 1 <= rows, 1 <= columns <= kernels::kMaxColumns, 1 <= planes <= kMaxPlanes.
  static PackedMatrix zeros(std::size_t rows, std::size_t columns, std::size_t planes, std::size_t group,
                            kernels::ScaleType scale_type);

  [[nodiscard]] kernels::TernaryView view() const;

  // Integers k, |k| <= (3^planes - 1) / 2, for up to 16 rows from `first_row`, a multiple of 16, row-major:
  // weight(row, c) = scale * k. Different blocks may be set by different threads.
  void set_block(std::size_t first_row, std::span<const std::int8_t> k);
  // Rounds to f16 when scale_type is f16. group 0: row and group_index must be 0.
  void set_scale(std::size_t row, std::size_t group_index, float scale);
  // Other scales, all 0, with the same codes.
  void reset_scales(std::size_t new_group, kernels::ScaleType type);
};

}  // namespace sterna::convert
