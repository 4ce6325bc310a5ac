#include "runtime/dense_rows.h"

#include <algorithm>
#include <cassert>

namespace sterna::runtime {
namespace {

kernels::DenseView whole_rows(const kernels::SplitView& w) {
  return {w.rows, w.columns, kernels::DenseType::i8, nullptr, w.row_scales};
}

// Bytes of a row of a split matrix with this many columns.
std::size_t split_row_bytes(std::size_t columns) {
  kernels::SplitView w;
  w.columns = columns;
  return w.high_row_bytes() + kernels::kSplitPlanes * w.plane_row_bytes();
}

}  // namespace

DenseRows::DenseRows(const kernels::DenseView& shape, const File& file, std::uint64_t offset)
    : shape_(shape), file_(&file), offset_(offset) {
  shape_.data = nullptr;
}

DenseRows::DenseRows(const kernels::SplitView& view) : shape_(whole_rows(view)), split_(view) {}

DenseRows::DenseRows(const kernels::SplitView& shape, const File& file, std::uint64_t offset)
    : shape_(whole_rows(shape)), split_(shape), file_(&file), offset_(offset) {
  split_.codes = nullptr;
}

std::uint64_t DenseRows::row_bytes() const {
  const std::size_t values =
      is_split() ? split_row_bytes(columns()) : columns() * kernels::dense_bytes(shape_.type);
  return values + (shape_.row_scales != nullptr ? sizeof(float) : 0);
}

std::size_t DenseRows::buffer_bytes(std::size_t columns) {
  return std::max(columns * sizeof(float), columns + split_row_bytes(columns));
}

Result<kernels::DenseView> DenseRows::rows(const kernels::Kernels& kernels, std::size_t begin,
                                           std::size_t end, std::span<std::byte> buffer) const {
  assert(begin <= end && end <= shape_.rows);
  kernels::DenseView view = shape_;
  view.rows = end - begin;
  if (view.row_scales != nullptr) view.row_scales += begin;
  if (!is_split() && file_ == nullptr) {
    view.data = shape_.row(begin);
    return view;
  }
  const std::size_t row_bytes = shape_.columns * kernels::dense_bytes(shape_.type);
  assert(view.rows * row_bytes <= buffer.size());
  view.data = buffer.data();
  if (is_split()) {
    STERNA_CHECK(values(kernels, begin, end, buffer.subspan(view.rows * row_bytes),
                        reinterpret_cast<std::int8_t*>(buffer.data())));
    return view;
  }
  STERNA_CHECK(file_->read_at(offset_ + begin * row_bytes, buffer.first(view.rows * row_bytes)));
  return view;
}

Result<const std::uint8_t*> DenseRows::codes(std::size_t at, std::size_t size,
                                             std::span<std::byte> buffer) const {
  if (file_ == nullptr) return split_.codes + at;
  assert(size <= buffer.size());
  STERNA_CHECK(file_->read_at(offset_ + at, buffer.first(size)));
  return reinterpret_cast<const std::uint8_t*>(buffer.data());
}

Result<const std::uint8_t*> DenseRows::high(std::size_t begin, std::size_t end,
                                            std::span<std::byte> buffer) const {
  assert(is_split() && begin <= end && end <= split_.rows);
  return codes(split_.high_at(begin), (end - begin) * split_.high_row_bytes(), buffer);
}

Result<const std::uint8_t*> DenseRows::plane(std::size_t plane, std::size_t begin, std::size_t end,
                                             std::span<std::byte> buffer) const {
  assert(is_split() && begin <= end && end <= split_.rows);
  return codes(split_.plane_at(plane, begin), (end - begin) * split_.plane_row_bytes(), buffer);
}

Status DenseRows::values(const kernels::Kernels& kernels, std::size_t begin, std::size_t end,
                         std::span<std::byte> buffer, std::int8_t* out) const {
  const std::size_t rows = end - begin;
  kernels::SplitRow row;
  STERNA_TRY(row.high, high(begin, end, buffer));
  if (!in_memory()) buffer = buffer.subspan(rows * split_.high_row_bytes());
  for (std::size_t i = 0; i < kernels::kSplitPlanes; ++i) {
    STERNA_TRY(row.planes[i], plane(i, begin, end, buffer));
    if (!in_memory()) buffer = buffer.subspan(rows * split_.plane_row_bytes());
  }
  for (std::size_t r = 0; r < rows; ++r) {
    kernels.split_row(row, split_.columns, out + r * split_.columns);
    row.high += split_.high_row_bytes();
    for (const std::uint8_t*& part : row.planes) part += split_.plane_row_bytes();
  }
  return {};
}

}  // namespace sterna::runtime
