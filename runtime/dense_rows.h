// The rows of a dense matrix, wherever they are: in memory (a mapping counts), or left in the file, from
// where they are read each time. The embedding and the head are such matrices: in a small model they are a
// third of all bytes, and with rows in the file they cost no memory (--low-memory). Split rows (views.h,
// SplitView) are put together where they are asked for.
#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/registry.h"
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

  // The same of a split matrix; `offset` is that of its codes.
  explicit DenseRows(const kernels::SplitView& view);
  DenseRows(const kernels::SplitView& shape, const File& file, std::uint64_t offset);

  [[nodiscard]] std::size_t count() const { return shape_.rows; }
  [[nodiscard]] std::size_t columns() const { return shape_.columns; }
  [[nodiscard]] kernels::DenseType type() const { return shape_.type; }
  [[nodiscard]] bool in_memory() const { return file_ == nullptr; }
  [[nodiscard]] bool is_split() const { return split_.rows != 0; }
  [[nodiscard]] const kernels::DenseView& view() const {  // of rows in memory that are not split
    assert(in_memory() && !is_split());
    return shape_;
  }
  [[nodiscard]] const kernels::SplitView& split() const {  // codes only where they are in memory
    assert(is_split());
    return split_;
  }
  [[nodiscard]] std::uint64_t row_bytes() const;  // that are read for the whole of a row, its scale included

  // Rows [begin, end) as a matrix of their own. `buffer`, of buffer_bytes() for each, takes them where they
  // are in the file or split; safe from several threads with a buffer each. An error when the file cannot be
  // read.
  Result<kernels::DenseView> rows(const kernels::Kernels& kernels, std::size_t begin, std::size_t end,
                                  std::span<std::byte> buffer) const;
  static std::size_t buffer_bytes(std::size_t columns);

  // Parts of the split rows [begin, end), in `buffer` if they are in the file: high parts, or bits of a
  // plane.
  Result<const std::uint8_t*> high(std::size_t begin, std::size_t end, std::span<std::byte> buffer) const;
  Result<const std::uint8_t*> plane(std::size_t plane, std::size_t begin, std::size_t end,
                                    std::span<std::byte> buffer) const;

  // The int8 values of the split rows [begin, end) to `out`, columns() for each.
  Status values(const kernels::Kernels& kernels, std::size_t begin, std::size_t end,
                std::span<std::byte> buffer, std::int8_t* out) const;

 private:
  // Codes of the split matrix from `at` on.
  Result<const std::uint8_t*> codes(std::size_t at, std::size_t size, std::span<std::byte> buffer) const;

  kernels::DenseView shape_;
  kernels::SplitView split_;  // no rows: not split
  const File* file_ = nullptr;
  std::uint64_t offset_ = 0;
};

}  // namespace sterna::runtime
