#include "convert/encode.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <vector>

#include "convert/hf_names.h"
#include "convert/matrix_source.h"
#include "convert/packed_matrix.h"
#include "convert/split_rows.h"
#include "convert/ternarize.h"
#include "convert/trained.h"

namespace sterna::convert {
namespace {

using runtime::Layout;
using runtime::TensorDescriptor;
using runtime::TensorSpec;

constexpr std::size_t kChunkBytes = 8U << 20;  // rows are read and written in pieces of about this much

Layout stored_layout(DType type) {
  return type == DType::f16 ? Layout::f16 : type == DType::bf16 ? Layout::bf16 : Layout::f32;
}

Layout embedding_layout(EmbeddingForm form, DType type) {
  switch (form) {
    case EmbeddingForm::keep:
      return stored_layout(type);
    case EmbeddingForm::bf16:
      return Layout::bf16;
    case EmbeddingForm::int8:
      return Layout::i8_split;
  }
  return Layout::f32;
}

// A sink that also keeps the checksum.
class Checked {
 public:
  explicit Checked(const ByteSink& sink) : sink_(sink) {}
  Status write(std::span<const std::byte> bytes) {
    crc_ = runtime::crc32_of(bytes, crc_);
    return sink_(bytes);
  }
  Status pad(std::uint64_t written) {
    constexpr std::array<std::byte, runtime::kFileAlignment> kZeros{};
    const std::uint64_t padded = kernels::round_up(written, runtime::kFileAlignment);
    return write(std::span(kZeros).first(padded - written));
  }
  [[nodiscard]] std::uint32_t crc() const { return crc_; }

 private:
  const ByteSink& sink_;
  std::uint32_t crc_ = 0;
};

// bf16, round to nearest, ties to even; finite values only. Values beyond the largest bf16 become infinity:
// refused by the caller.
std::uint16_t to_bf16(float x) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &x, sizeof bits);
  return static_cast<std::uint16_t>((bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16);
}

// Calls body(first row, rows as floats) over a whole matrix in chunks; floats are checked for NaN and
// infinity.
template <class Body>
Status for_chunks(const Checkpoint& checkpoint, const StoredTensor& tensor, std::size_t columns, Body body) {
  const std::size_t rows = tensor.rows();
  const std::size_t step = std::max<std::size_t>(1, kChunkBytes / (columns * sizeof(float)));
  std::vector<float> values;
  for (std::size_t row = 0; row < rows; row += step) {
    const std::size_t count = std::min(step, rows - row);
    values.resize(count * columns);
    STERNA_CHECK(checkpoint.read_floats(tensor, row, row + count, values));
    STERNA_CHECK(checkpoint.check_finite(tensor, row, values));
    STERNA_CHECK(body(row, std::span<const float>(values)));
  }
  return {};
}

Status write_vector(const Checkpoint& checkpoint, const HfModel& model, const TensorSpec& spec,
                    const StoredTensor& tensor, const EncodeOptions& options, Checked& out) {
  if (options.fitted != nullptr) {
    if (const auto fitted = options.fitted->vector(spec)) return out.write(std::as_bytes(std::span(*fitted)));
  }
  STERNA_TRY(const float factor, bias_factor(checkpoint, model, spec));
  STERNA_TRY(std::vector<float> values, checkpoint.read_floats(tensor));
  STERNA_CHECK(checkpoint.check_finite(tensor, 0, values));
  for (float& value : values) value *= factor;
  return out.write(std::as_bytes(std::span(values)));
}

Status write_dense(const Checkpoint& checkpoint, const StoredTensor& tensor, const TensorDescriptor& d,
                   Checked& out) {
  std::vector<std::uint16_t> halves;
  return for_chunks(
      checkpoint, tensor, d.columns, [&](std::size_t row, std::span<const float> values) -> Status {
        if (d.layout == Layout::f32) return out.write(std::as_bytes(values));
        if (d.layout == stored_layout(tensor.dtype)) {  // as stored: the bits themselves, not a round trip
          halves.resize(values.size());
          const auto bytes = std::as_writable_bytes(std::span(halves));
          STERNA_CHECK(checkpoint.read_rows(tensor, row, row + values.size() / d.columns, bytes));
          return out.write(bytes);
        }
        assert(d.layout == Layout::bf16);
        halves.resize(values.size());
        std::transform(values.begin(), values.end(), halves.begin(), to_bf16);
        if (std::any_of(halves.begin(), halves.end(),
                        [](std::uint16_t h) { return (h & 0x7F80U) == 0x7F80U; })) {
          return fail("tensor '{}' has values beyond the range of bfloat16; use --embedding keep",
                      tensor.name);
        }
        return out.write(std::as_bytes(std::span(halves)));
      });
}

// int8 with one scale per row, scale = max |w| / 127, its bits apart (kernels::SplitView). Two passes,
// because the scales come first in the file; the low bits and the bounds, three eighths of the whole, come
// after all high parts and are kept until then.
Status write_split_rows(const Checkpoint& checkpoint, const StoredTensor& tensor, const TensorDescriptor& d,
                        Checked& out) {
  std::vector<float> scales;
  scales.reserve(d.rows);
  STERNA_CHECK(
      for_chunks(checkpoint, tensor, d.columns, [&](std::size_t, std::span<const float> values) -> Status {
        for (std::size_t at = 0; at < values.size(); at += d.columns)
          scales.push_back(int8_step(values.subspan(at, d.columns)));
        return {};
      }));
  STERNA_CHECK(out.write(std::as_bytes(std::span(scales))));
  STERNA_CHECK(out.pad(scales.size() * sizeof(float)));
  SplitRows split(d);
  const auto add = [&](std::size_t row, std::span<const float> values) -> Status {
    for (std::size_t at = 0; at < values.size(); at += d.columns, ++row)
      STERNA_CHECK(out.write(split.add(row, values.subspan(at, d.columns), scales[row])));
    return {};
  };
  STERNA_CHECK(for_chunks(checkpoint, tensor, d.columns, add));
  STERNA_CHECK(out.pad(split.high_bytes()));
  STERNA_CHECK(out.write(split.planes()));
  return out.write(split.bounds());
}

Status write_packed(const PackedMatrix& matrix, runtime::Storage storage, runtime::ThreadPool& pool,
                    TensorDescriptor& d, Checked& out) {
  const kernels::CodeForm form = form_of(storage, matrix.planes, matrix.group);
  d.layout = runtime::ternary_layout(form);
  d.planes = matrix.planes;
  d.group = matrix.group;
  d.scale_type = matrix.scale_type;
  assert(matrix.scales.size() >= d.scale_bytes());
  STERNA_CHECK(out.write(matrix.scales.bytes().first(d.scale_bytes())));
  STERNA_CHECK(out.pad(d.scale_bytes()));
  const kernels::TernaryView view = matrix.view();
  if (form == view.form) return out.write(matrix.codes.bytes().first(view.code_bytes()));
  STERNA_TRY(auto codes, repack(view, form, pool));
  return out.write(std::as_bytes(codes.span()));
}

Status write_linear(const Checkpoint& checkpoint, const HfModel& model, const TensorSpec& spec,
                    const StoredTensor& tensor, const EncodeOptions& options, runtime::ThreadPool& pool,
                    Encoded& encoded, Checked& out) {
  if (options.fitted != nullptr) {
    STERNA_TRY(const auto fitted, options.fitted->matrix(spec));
    if (fitted) {
      encoded.relative_error = fitted->relative_error.value_or(0.0);
      encoded.fitted = fitted->relative_error.has_value();
      encoded.descriptor.rotation_block = fitted->rotation_block;
      encoded.descriptor.rotation_seed = fitted->rotation_seed;
      return write_packed(fitted->packed, options.storage, pool, encoded.descriptor, out);
    }
  }
  if (is_trained_linear(model, spec)) {
    STERNA_TRY(const PackedMatrix matrix, pack_trained(checkpoint, model, spec, pool));
    return write_packed(matrix, options.storage, pool, encoded.descriptor, out);
  }
  STERNA_TRY(const MatrixSource source, matrix_source(checkpoint, tensor));
  STERNA_TRY(const std::optional<PackedMatrix> exact, pack_by_value(source, pool));
  if (exact) return write_packed(*exact, options.storage, pool, encoded.descriptor, out);
  STERNA_TRY(const Ternarized fitted, ternarize(source, *options.planes, pool));
  encoded.relative_error = fitted.relative_error;
  encoded.fitted = true;
  return write_packed(fitted.matrix, options.storage, pool, encoded.descriptor, out);
}

}  // namespace

Layout planned_layout(const Checkpoint& checkpoint, const HfModel& model, const TensorSpec& spec,
                      const EncodeOptions& options) {
  if (spec.is_vector()) return Layout::f32;
  if (is_trained_linear(model, spec)) return Layout::trit2;
  // A trained ternary model's float linears (modules_to_not_convert) are float in the reference, too.
  const bool fit = options.planes && model.quantization.form == TrainedForm::none;
  if (spec.is_linear() && fit) return Layout::trit2;
  const auto found = find_tensor(checkpoint, model, spec);
  const DType type = found ? (*found)->dtype : DType::f32;
  return spec.is_embedding() ? embedding_layout(options.embedding, type) : stored_layout(type);
}

Result<Encoded> encode_tensor(const Checkpoint& checkpoint, const HfModel& model, const TensorSpec& spec,
                              const EncodeOptions& options, runtime::ThreadPool& pool, const ByteSink& sink) {
  STERNA_TRY(const StoredTensor* tensor, find_tensor(checkpoint, model, spec));
  Encoded encoded;
  TensorDescriptor& d = encoded.descriptor;
  d.name = spec.name;
  d.rows = spec.rows;
  d.columns = spec.columns;
  d.layout = planned_layout(checkpoint, model, spec, options);
  Checked out(sink);
  switch (d.layout) {
    case Layout::trit2:
      STERNA_CHECK(write_linear(checkpoint, model, spec, *tensor, options, pool, encoded, out));
      break;
    case Layout::i8_split:
      STERNA_CHECK(write_split_rows(checkpoint, *tensor, d, out));
      break;
    default:
      STERNA_CHECK(spec.is_vector() ? write_vector(checkpoint, model, spec, *tensor, options, out)
                                    : write_dense(checkpoint, *tensor, d, out));
      break;
  }
  d.crc32 = out.crc();
  return encoded;
}

}  // namespace sterna::convert
