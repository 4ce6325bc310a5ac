// The rows of a dense matrix, wherever they are: in memory (a mapping counts), or left in the file, from
// where they are read each time. The embedding and the head are such matrices: in a small model they are a
// third of all bytes, and with rows in the file they cost no memory (--low-memory).
#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/views.h"
#include "runtime/file.h"
#include "runtime/result.h"

namespace sterna::runtime {

class DenseRows {
 public:
  DenseRows() = default;
  explicit DenseRows(const kernels::DenseView& view) : shape_(view) {}

  // Values in `file` from `offset` on; of `shape` all but the values must be in memory. `file` outlives this.
  DenseRows(const kernels::DenseView& shape, const File& file, std::uint64_t offset);

  [[nodiscard]] std::size_t count() const { return shape_.rows; }
  [[nodiscard]] std::size_t columns() const { return shape_.columns; }
  [[nodiscard]] kernels::DenseType type() const { return shape_.type; }
  [[nodiscard]] bool has_scales() const { return shape_.row_scales != nullptr; }
  [[nodiscard]] bool in_memory() const { return file_ == nullptr; }
  [[nodiscard]] const kernels::DenseView& view() const {  // of rows in memory
    assert(in_memory());
    return shape_;
  }

  // Rows [begin, end) as a matrix of their own. `buffer` takes them where they are in the file, and must hold
  // them; safe from several threads with a buffer each. An error when the file cannot be read.
  Result<kernels::DenseView> rows(std::size_t begin, std::size_t end, std::span<std::byte> buffer) const;

 private:
  kernels::DenseView shape_;
  const File* file_ = nullptr;
  std::uint64_t offset_ = 0;
};

}  // namespace sterna::runtime
