#include "runtime/dense_rows.h"

#include <cassert>

namespace sterna::runtime {

DenseRows::DenseRows(const kernels::DenseView& shape, const File& file, std::uint64_t offset)
    : shape_(shape), file_(&file), offset_(offset) {
  shape_.data = nullptr;
}

Result<kernels::DenseView> DenseRows::rows(std::size_t begin, std::size_t end,
                                           std::span<std::byte> buffer) const {
  assert(begin <= end && end <= shape_.rows);
  kernels::DenseView view = shape_;
  view.rows = end - begin;
  if (view.row_scales != nullptr) view.row_scales += begin;
  if (file_ == nullptr) {
    view.data = shape_.row(begin);
    return view;
  }
  const std::size_t row_bytes = shape_.columns * kernels::dense_bytes(shape_.type);
  assert(view.rows * row_bytes <= buffer.size());
  STERNA_CHECK(file_->read_at(offset_ + begin * row_bytes, buffer.first(view.rows * row_bytes)));
  view.data = buffer.data();
  return view;
}

}  // namespace sterna::runtime
