#include "convert/matrix_source.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/views.h"

namespace sterna::convert {

Result<MatrixSource> matrix_source(const Checkpoint& checkpoint, const StoredTensor& tensor) {
  const std::string& path = checkpoint.path_of(tensor);
  if (tensor.shape.size() != 2 || tensor.shape[0] == 0 || tensor.shape[1] == 0 ||
      tensor.shape[0] > 1U << 31 || tensor.shape[1] > kernels::kMaxColumns) {
    return fail("{}: tensor '{}' is {}, a matrix of at most {} columns is expected", path, tensor.name,
                tensor.describe(), kernels::kMaxColumns);
  }
  if (!is_float(tensor.dtype)) {
    return fail("{}: tensor '{}' is {}, a float type is expected", path, tensor.name,
                dtype_name(tensor.dtype));
  }
  MatrixSource source;
  source.name = fmt::format("{}: tensor '{}'", path, tensor.name);
  source.rows = tensor.shape[0];
  source.columns = tensor.shape[1];
  source.read = [&checkpoint, &tensor](std::size_t begin, std::size_t end, std::span<float> out) {
    return checkpoint.read_floats(tensor, begin, end, out);
  };
  return source;
}

MatrixSource matrix_source(std::string name, std::size_t rows, std::size_t columns,
                           std::span<const float> data) {
  assert(rows >= 1 && columns >= 1 && columns <= kernels::kMaxColumns && data.size() == rows * columns);
  const auto read = [columns, data](std::size_t begin, std::size_t end, std::span<float> out) -> Status {
    std::copy_n(data.begin() + static_cast<std::ptrdiff_t>(begin * columns), (end - begin) * columns,
                out.begin());
    return {};
  };
  return {std::move(name), rows, columns, read};
}

void FirstError::report(std::size_t row, Error error) {
  const std::scoped_lock lock(mutex_);
  if (!error_ || row < error_->first) error_ = {row, std::move(error)};
}

Status FirstError::status() const {
  if (error_) return error_->second;
  return {};
}

Status for_each_block(const MatrixSource& source, runtime::ThreadPool& pool, const BlockBody& body) {
  const auto run_block = [&](std::size_t row, std::span<float> values) -> Status {
    STERNA_CHECK(source.read(row, row + values.size() / source.columns, values));
    const auto bad = std::find_if(values.begin(), values.end(), [](float x) { return !std::isfinite(x); });
    if (bad != values.end()) {
      const auto at = static_cast<std::size_t>(bad - values.begin());
      return fail("{}: row {}, column {} is {}: the checkpoint is damaged", source.name,
                  row + at / source.columns, at % source.columns, *bad);
    }
    return body(row, values);
  };
  FirstError first;
  pool.run(source.rows, kernels::kTileRows, [&](std::size_t begin, std::size_t end, std::size_t) {
    std::vector<float> buffer(std::min(kernels::kTileRows, end - begin) * source.columns);
    for (std::size_t row = begin; row < end; row += kernels::kTileRows) {
      const std::size_t rows = std::min(kernels::kTileRows, end - row);
      const auto status = run_block(row, std::span(buffer).first(rows * source.columns));
      if (!status) return first.report(row, status.error());
    }
  });
  return first.status();
}

Status for_each_row(const MatrixSource& source, runtime::ThreadPool& pool, const RowBody& body) {
  return for_each_block(source, pool, [&](std::size_t first_row, std::span<const float> values) -> Status {
    for (std::size_t at = 0; at < values.size(); at += source.columns) {
      STERNA_CHECK(body(first_row + at / source.columns, values.subspan(at, source.columns)));
    }
    return {};
  });
}

}  // namespace sterna::convert
