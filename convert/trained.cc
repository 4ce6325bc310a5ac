#include "convert/trained.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "convert/hf_names.h"
#include "kernels/lanes/half.h"

namespace sterna::convert {
namespace {

using kernels::kGroupColumns;
using kernels::ScaleType;
using runtime::ThreadPool;

Result<float> read_scale(const Checkpoint& checkpoint, const StoredTensor& tensor, TrainedForm form) {
  float stored = 0.0F;
  STERNA_CHECK(checkpoint.read_floats(tensor, 0, 1, std::span(&stored, 1)));
  const float scale = form == TrainedForm::packed_inverse ? 1.0F / stored : stored;
  if (!(stored > 0.0F) || !std::isfinite(stored) || !(scale > 0.0F) || !std::isfinite(scale)) {
    return fail("{}: tensor '{}' is {}, a positive number is expected: the checkpoint is damaged",
                checkpoint.path_of(tensor), tensor.name, stored);
  }
  return scale;
}

// Stored row r of the P = ceil(rows / 4) holds the rows r, r + P, r + 2P, r + 3P in its bits 0-1, 2-3, 4-5,
// 6-7 (transformers, integrations/bitnet.py).
Status unpack_row(const StoredTensor& tensor, const std::string& path, std::span<const std::byte> bytes,
                  std::size_t rows, std::size_t row, std::span<std::int8_t> trits) {
  const std::size_t stored_rows = (rows + 3) / 4;
  const std::byte* stored = bytes.data() + row % stored_rows * trits.size();
  const auto shift = static_cast<int>(2 * (row / stored_rows));
  int codes = 0;
  for (std::size_t c = 0; c < trits.size(); ++c) {
    const int code = std::to_integer<int>(stored[c]) >> shift & 3;
    trits[c] = static_cast<std::int8_t>(code - 1);
    codes |= code & code >> 1;
  }
  if (codes == 0) return {};
  const auto column = std::find(trits.begin(), trits.end(), 2) - trits.begin();
  return fail(
      "{}: tensor '{}' has the unused code 3 at row {}, column {}: the checkpoint is damaged or not BitNet's "
      "packing",
      path, tensor.name, row, column);
}

Status unpack(const Checkpoint& checkpoint, const StoredTensor& tensor, ThreadPool& pool,
              PackedMatrix& matrix) {
  STERNA_TRY(const std::vector<std::byte> bytes, checkpoint.read(tensor.name));
  assert(bytes.size() == (matrix.rows + 3) / 4 * matrix.columns);
  FirstError first;
  pool.run(matrix.rows, kernels::kTileRows, [&](std::size_t begin, std::size_t end, std::size_t) {
    std::vector<std::int8_t> trits;
    for (std::size_t row = begin; row < end; row += kernels::kTileRows) {
      const std::size_t rows = std::min(kernels::kTileRows, end - row);
      trits.resize(rows * matrix.columns);
      for (std::size_t i = 0; i < rows; ++i) {
        const auto out = std::span(trits).subspan(i * matrix.columns, matrix.columns);
        const auto status = unpack_row(tensor, checkpoint.path_of(tensor), bytes, matrix.rows, row + i, out);
        if (!status) return first.report(row + i, status.error());
      }
      matrix.set_block(row, trits);
    }
  });
  return first.status();
}

// What transformers saves of an autobitlinear model that it has unpacked: the trits as floats.
Status take_float_trits(const MatrixSource& source, ThreadPool& pool, PackedMatrix& matrix) {
  return for_each_block(source, pool, [&](std::size_t row, std::span<const float> values) -> Status {
    std::vector<std::int8_t> trits(values.size());
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (values[i] != 0.0F && std::abs(values[i]) != 1.0F) {
        return fail(
            "{}: row {}, column {} is {}, but quantization_config says that weights are -1, 0 or 1: set "
            "quantization_mode to online if these are master weights",
            source.name, row + i / source.columns, i % source.columns, values[i]);
      }
      trits[i] = static_cast<std::int8_t>(values[i]);
    }
    matrix.set_block(row, trits);
    return {};
  });
}

Result<PackedMatrix> pack_absmean(const MatrixSource& source, ThreadPool& pool) {
  std::vector<double> row_sums(source.rows);  // so that the sum does not depend on the number of threads
  STERNA_CHECK(for_each_row(source, pool, [&](std::size_t row, std::span<const float> values) -> Status {
    for (const float w : values) row_sums[row] += std::abs(w);
    return {};
  }));
  const double count = static_cast<double>(source.rows) * static_cast<double>(source.columns);
  const auto mean = static_cast<float>(std::accumulate(row_sums.begin(), row_sums.end(), 0.0) / count);
  const float scale = 1.0F / std::max(mean, 1e-5F);

  PackedMatrix matrix = PackedMatrix::zeros(source.rows, source.columns, 1, 0, ScaleType::f32);
  STERNA_CHECK(for_each_block(source, pool, [&](std::size_t row, std::span<const float> values) -> Status {
    std::vector<std::int8_t> trits(values.size());
    for (std::size_t i = 0; i < values.size(); ++i) {
      trits[i] = static_cast<std::int8_t>(std::nearbyint(std::clamp(values[i] * scale, -1.0F, 1.0F)));
    }
    matrix.set_block(row, trits);
    return {};
  }));
  matrix.set_scale(0, 0, 1.0F / scale);
  return matrix;
}

// The magnitudes that pack_by_value() found: one per row and group, 0 for groups of zeros.
bool all_equal(const std::vector<float>& magnitudes, float& magnitude) {
  magnitude = 0.0F;
  return std::all_of(magnitudes.begin(), magnitudes.end(), [&](float m) {
    if (magnitude == 0.0F) magnitude = m;
    return m == 0.0F || m == magnitude;
  });
}

// Subnormal halves are left to f32: not every machine multiplies them at full speed, or at all.
bool fits_f16(float m) {
  return m == 0.0F || (m >= 0x1p-14F && kernels::f16_to_float(kernels::float_to_f16(m)) == m);
}

void store_magnitudes(const std::vector<float>& magnitudes, PackedMatrix& matrix) {
  float magnitude = 0.0F;
  if (all_equal(magnitudes, magnitude)) {
    matrix.reset_scales(0, ScaleType::f32);
    return matrix.set_scale(0, 0, magnitude);
  }
  const bool halves = std::all_of(magnitudes.begin(), magnitudes.end(), fits_f16);
  matrix.reset_scales(kGroupColumns, halves ? ScaleType::f16 : ScaleType::f32);
  const std::size_t groups = matrix.view().groups();
  for (std::size_t i = 0; i < magnitudes.size(); ++i) matrix.set_scale(i / groups, i % groups, magnitudes[i]);
}

// The magnitude of a group and its trits; false when it has two magnitudes.
bool group_by_value(std::span<const float> group, float& magnitude, std::span<std::int8_t> trits) {
  magnitude = 0.0F;
  for (std::size_t i = 0; i < group.size(); ++i) {
    const float a = std::abs(group[i]);
    if (magnitude == 0.0F) magnitude = a;
    if (a != 0.0F && a != magnitude) return false;
    trits[i] = static_cast<std::int8_t>(a == 0.0F ? 0 : group[i] > 0.0F ? 1 : -1);
  }
  return true;
}

}  // namespace

Result<PackedMatrix> pack_trained(const Checkpoint& checkpoint, const HfModel& model,
                                  const runtime::TensorSpec& spec, ThreadPool& pool) {
  assert(is_trained_linear(model, spec));
  const TrainedForm form = model.quantization.form;
  STERNA_TRY(const StoredTensor* tensor, find_tensor(checkpoint, model, spec));
  STERNA_CHECK(check_tensor(checkpoint, model, spec, *tensor));
  if (form == TrainedForm::master_absmean) {
    STERNA_TRY(const MatrixSource source, matrix_source(checkpoint, *tensor));
    return pack_absmean(source, pool);
  }
  STERNA_TRY(const StoredTensor* scale_tensor, find_weight_scale(checkpoint, spec));
  STERNA_TRY(const float scale, read_scale(checkpoint, *scale_tensor, form));
  PackedMatrix matrix = PackedMatrix::zeros(spec.rows, spec.columns, 1, 0, ScaleType::f32);
  matrix.set_scale(0, 0, scale);
  if (tensor->dtype == DType::u8) {
    STERNA_CHECK(unpack(checkpoint, *tensor, pool, matrix));
  } else {
    STERNA_TRY(const MatrixSource source, matrix_source(checkpoint, *tensor));
    STERNA_CHECK(take_float_trits(source, pool, matrix));
  }
  return matrix;
}

Result<float> bias_factor(const Checkpoint& checkpoint, const HfModel& model,
                          const runtime::TensorSpec& spec) {
  if (spec.part != runtime::Part::bias || model.quantization.form != TrainedForm::packed_direct ||
      !model.quantization.is_trained(hf_module(spec))) {
    return 1.0F;
  }
  STERNA_TRY(const StoredTensor* scale, find_weight_scale(checkpoint, spec));
  STERNA_TRY(const std::vector<float> values, checkpoint.read_floats(*scale));
  return values.front();
}

Result<std::optional<PackedMatrix>> pack_by_value(const MatrixSource& source, ThreadPool& pool) {
  PackedMatrix matrix = PackedMatrix::zeros(source.rows, source.columns, 1, kGroupColumns, ScaleType::f32);
  const std::size_t groups = matrix.view().groups();
  std::vector<float> magnitudes(source.rows * groups);
  constexpr const char* kNotTernary = "not ternary";  // ends the walk early; never shown
  const Status status =
      for_each_block(source, pool, [&](std::size_t row, std::span<const float> values) -> Status {
        std::vector<std::int8_t> trits(values.size());
        for (std::size_t i = 0; i < values.size() / source.columns * groups; ++i) {
          const std::size_t column = i % groups * kGroupColumns;
          const std::size_t at = i / groups * source.columns + column;
          const std::size_t n = std::min(kGroupColumns, source.columns - column);
          if (!group_by_value(values.subspan(at, n), magnitudes[row * groups + i],
                              std::span(trits).subspan(at, n))) {
            return Error{kNotTernary};
          }
        }
        matrix.set_block(row, trits);
        return {};
      });
  if (!status && status.error().message == kNotTernary) return std::optional<PackedMatrix>{};
  if (!status) return status.error();
  store_magnitudes(magnitudes, matrix);
  return std::optional<PackedMatrix>(std::move(matrix));
}

}  // namespace sterna::convert
