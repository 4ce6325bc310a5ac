// A float matrix that is read row by row from wherever it lies, so that packing holds no more than a few rows
// of it.
#pragma once

#include <cstddef>
#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "convert/checkpoint.h"
#include "runtime/result.h"
#include "runtime/thread_pool.h"

namespace sterna::convert {

struct MatrixSource {
  std::string name;  // for messages
  std::size_t rows = 0;
  std::size_t columns = 0;
  // Rows [row_begin, row_end) as floats, row-major; called from several threads at once.
  std::function<Status(std::size_t row_begin, std::size_t row_end, std::span<float> out)> read;
};

// A two-dimensional float tensor of a checkpoint. Both must outlive the source.
Result<MatrixSource> matrix_source(const Checkpoint& checkpoint, const StoredTensor& tensor);

// A matrix in memory, row-major; `data` must outlive the source.
MatrixSource matrix_source(std::string name, std::size_t rows, std::size_t columns,
                           std::span<const float> data);

// Keeps the error of the lowest row that several threads report, so that a message does not depend on the
// threads.
class FirstError {
 public:
  void report(std::size_t row, Error error);
  [[nodiscard]] Status status() const;

 private:
  std::mutex mutex_;
  std::optional<std::pair<std::size_t, Error>> error_;
};

// Calls body(first_row, values) for every block of 16 rows (fewer in the last), in parallel, after checking
// that they hold neither NaN nor infinity. Returns the error of the lowest block.
using BlockBody = std::function<Status(std::size_t first_row, std::span<const float> values)>;
Status for_each_block(const MatrixSource& source, runtime::ThreadPool& pool, const BlockBody& body);

// The same, row by row.
using RowBody = std::function<Status(std::size_t row, std::span<const float> values)>;
Status for_each_row(const MatrixSource& source, runtime::ThreadPool& pool, const RowBody& body);

}  // namespace sterna::convert
