#include "convert/save.h"

#include <algorithm>
#include <span>
#include <utility>
#include <vector>

#include "convert/model_header.h"
#include "runtime/file.h"
#include "runtime/format.h"
#include "runtime/tensor_list.h"

namespace sterna::convert {
namespace {

using runtime::Layout;
using runtime::TensorDescriptor;
using runtime::TensorSpec;

constexpr std::size_t kChunkBytes = 8U << 20;  // between two looks at `cancelled`

// A tensor as the file holds it: scales, zeros up to a multiple of 64, and the rest in up to two pieces.
struct SavedTensor {
  TensorDescriptor descriptor;
  std::span<const std::byte> scales;
  std::span<const std::byte> values;
  std::span<const std::byte> bounds;  // of split rows
};

std::span<const std::byte> bytes_at(const void* data, std::uint64_t size) {
  return {static_cast<const std::byte*>(data), size};
}

Layout layout_of(const runtime::Matrix& matrix) {
  if (matrix.ternary) return runtime::ternary_layout(matrix.trits.form);
  switch (matrix.dense.type) {
    case kernels::DenseType::f16:
      return Layout::f16;
    case kernels::DenseType::bf16:
      return Layout::bf16;
    case kernels::DenseType::i8:
      return Layout::i8_rows;
    default:
      return Layout::f32;
  }
}

std::vector<std::byte> padding(std::uint64_t written) {
  return std::vector<std::byte>(kernels::round_up(written, runtime::kFileAlignment) - written);
}

SavedTensor saved_tensor(const runtime::Weights& weights, const TensorSpec& spec) {
  SavedTensor t;
  TensorDescriptor& d = t.descriptor;
  d.name = spec.name;
  d.rows = spec.rows;
  d.columns = spec.columns;
  const runtime::DenseRows& rows = spec.role == runtime::Role::output ? weights.output : weights.embedding;
  if (spec.is_vector()) {
    t.values = bytes_at(runtime::vector_of(weights, spec), d.bytes());
  } else if (spec.is_embedding() && rows.is_split()) {
    d.layout = Layout::i8_split;
    t.scales = bytes_at(rows.split().row_scales, d.scale_bytes());
    t.values = bytes_at(rows.split().codes, rows.split().code_bytes());
    t.bounds = bytes_at(rows.split().bounds, rows.count() * kernels::kSplitBounds * sizeof(float));
  } else {
    const runtime::Matrix matrix = runtime::matrix_of(weights, spec);
    d.layout = layout_of(matrix);
    if (matrix.ternary) {
      d.planes = matrix.trits.planes;
      d.group = matrix.trits.group;
      d.scale_type = matrix.trits.scale_type;
      const runtime::Linear& linear = *runtime::linear_of(weights, spec);
      d.rotation_block = linear.rotation_block;
      d.rotation_seed = linear.rotation_seed;
    }
    const void* scales = matrix.ternary ? matrix.trits.scales : matrix.dense.row_scales;
    const void* values = matrix.ternary ? matrix.trits.codes : matrix.dense.data;
    t.scales = bytes_at(scales, d.scale_bytes());
    t.values = bytes_at(values, d.bytes() - kernels::round_up(d.scale_bytes(), runtime::kFileAlignment));
  }
  d.crc32 = runtime::crc32_of(t.scales);
  d.crc32 = runtime::crc32_of(padding(t.scales.size()), d.crc32);
  d.crc32 = runtime::crc32_of(t.values, d.crc32);
  d.crc32 = runtime::crc32_of(t.bounds, d.crc32);
  return t;
}

}  // namespace

Result<std::uint64_t> save_model(const runtime::Model::Parts& parts, const std::string& output,
                                 const ProgressSink& progress, const std::function<bool()>& cancelled) {
  STERNA_TRY(ModelHeader header,
             ModelHeader::create(parts.config, parts.text, parts.source, parts.config.name));
  header.set_origin(parts.origin);
  std::vector<SavedTensor> tensors;
  std::vector<TensorDescriptor> descriptors;
  std::vector<std::uint64_t> offsets;
  std::uint64_t end = 0;
  for (const TensorSpec& spec : runtime::tensor_list(parts.config)) {
    tensors.push_back(saved_tensor(parts.weights, spec));
    descriptors.push_back(tensors.back().descriptor);
    offsets.push_back(end);
    end += kernels::round_up(descriptors.back().bytes(), runtime::kFileAlignment);
  }
  STERNA_TRY(const std::vector<std::byte> head, header.sealed(descriptors, offsets, output));
  STERNA_TRY(runtime::OutputFile file, runtime::OutputFile::create(output));
  STERNA_CHECK(file.write(head));
  for (const SavedTensor& t : tensors) {
    STERNA_CHECK(file.write(t.scales));
    STERNA_CHECK(file.write(padding(t.scales.size())));
    for (std::size_t at = 0; at < t.values.size(); at += kChunkBytes) {
      if (cancelled()) return fail("interrupted; nothing was written to {}", output);
      if (progress) progress({file.position(), head.size() + end, t.descriptor.name});
      STERNA_CHECK(file.write(t.values.subspan(at, std::min(kChunkBytes, t.values.size() - at))));
    }
    STERNA_CHECK(file.write(t.bounds));
    STERNA_CHECK(file.write(padding(file.position())));
  }
  const std::uint64_t size = file.position();
  STERNA_CHECK(file.commit());
  return size;
}

}  // namespace sterna::convert
