#include "convert/export_tensor.h"

#include <algorithm>
#include <atomic>
#include <cassert>
#include <cmath>
#include <cstring>
#include <optional>
#include <vector>

#include "convert/ggml_blocks.h"
#include "kernels/lanes/half.h"
#include "kernels/registry.h"
#include "kernels/split_row/split_row.h"
#include "kernels/ternary_matmul/pack.h"

namespace sterna::convert {
namespace {

using kernels::DenseView;
using kernels::Float16Bits;
using kernels::kGroupColumns;
using kernels::TernaryView;
namespace ggml_id = runtime::ggml_id;

bool is_ternary(std::uint32_t type) { return type == ggml_id::tq1_0 || type == ggml_id::tq2_0; }

template <class T>
T at(const void* data, std::size_t i) {
  T value{};
  std::memcpy(&value, static_cast<const std::byte*>(data) + i * sizeof(T), sizeof(T));
  return value;
}

void dense_row(const DenseView& w, std::size_t row, std::span<float> out) {
  const std::uint8_t* data = w.row(row);
  for (std::size_t c = 0; c < out.size(); ++c) {
    switch (w.type) {
      case kernels::DenseType::f32:
        out[c] = at<float>(data, c);
        break;
      case kernels::DenseType::f16:
        out[c] = kernels::f16_to_float(at<Float16Bits>(data, c));
        break;
      case kernels::DenseType::bf16:
        out[c] = kernels::bf16_to_float(at<kernels::BFloat16Bits>(data, c));
        break;
      case kernels::DenseType::i8:
        out[c] = w.row_scales[row] * static_cast<float>(at<std::int8_t>(data, c));
        break;
    }
  }
}

void split_row(const kernels::SplitView& w, std::size_t row, std::span<float> out) {
  std::vector<std::int8_t> values(w.columns);
  kernels::split_row<kernels::Isa::scalar>(w.row(row), w.columns, values.data());
  for (std::size_t c = 0; c < out.size(); ++c) out[c] = w.row_scales[row] * static_cast<float>(values[c]);
}

void float_row(const runtime::StoredModel::Tensor& t, const Rotation* rotation, std::size_t row,
               std::span<float> out) {
  if (t.descriptor.layout == runtime::Layout::i8_split) {
    split_row(runtime::split_view(t.descriptor, t.bytes), row, out);
    return;
  }
  if (!runtime::is_ternary(t.descriptor.layout)) {
    dense_row(runtime::dense_view(t.descriptor, t.bytes), row, out);
    return;
  }
  const TernaryView w = runtime::ternary_view(t.descriptor, t.bytes);
  std::vector<std::int8_t> integers(w.columns);
  kernels::unpack_row(w, row, integers.data());
  const std::size_t group = w.group == 0 ? w.columns : w.group;
  for (std::size_t begin = 0; begin < w.columns; begin += group) {
    const float scale = kernels::scale_at(w, row, begin);
    for (std::size_t c = begin; c < std::min(begin + group, w.columns); ++c)
      out[c] = scale * static_cast<float>(integers[c]);
  }
  if (rotation != nullptr) unrotate(*kernels::all_kernels().front(), *rotation, 1, out.data());
}

bool all_zero(const TernaryView& w, std::size_t row, std::size_t begin) {
  for (std::size_t c = begin; c < begin + kGroupColumns; ++c) {
    if (kernels::unpack(w, row, c) != 0) return false;
  }
  return true;
}

// The scale that the 256 weights from `begin` share; nothing where two groups differ. The scale of a group
// of zeros does not matter.
std::optional<float> block_scale(const TernaryView& w, std::size_t row, std::size_t begin) {
  const float first = kernels::scale_at(w, row, begin);
  if (w.group == 0) return first;
  const float second = kernels::scale_at(w, row, begin + kGroupColumns);
  if (first == second || all_zero(w, row, begin + kGroupColumns)) return first;
  if (all_zero(w, row, begin)) return second;
  return std::nullopt;
}

// Below 2^-14 f16 loses bits, from 65520 on it is infinite.
bool fits_f16(float scale) {
  const float size = std::fabs(scale);
  return size == 0.0F || (size >= 0x1p-14F && size < 65520.0F);
}

void encode_trits(const TernaryView& w, std::size_t row, std::uint32_t type, std::uint8_t* out) {
  std::vector<std::int8_t> trits(w.columns);
  kernels::unpack_row(w, row, trits.data());
  for (std::size_t begin = 0; begin < w.columns; begin += kTernaryBlock) {
    const std::span<const std::int8_t, kTernaryBlock> block(trits.data() + begin, kTernaryBlock);
    const Float16Bits scale = kernels::float_to_f16(block_scale(w, row, begin).value_or(0.0F));
    if (type == ggml_id::tq2_0) {
      encode_tq2_0(block, scale, std::span<std::uint8_t, kTq2Bytes>(out, kTq2Bytes));
      out += kTq2Bytes;
    } else {
      encode_tq1_0(block, scale, std::span<std::uint8_t, kTq1Bytes>(out, kTq1Bytes));
      out += kTq1Bytes;
    }
  }
}

// False where a value is beyond the range of f16.
bool encode_floats(std::span<const float> values, std::uint32_t type, std::uint8_t* out) {
  bool fits = true;
  if (type == ggml_id::q8_0) {
    for (std::size_t begin = 0; begin < values.size(); begin += kQ8Block, out += kQ8Bytes) {
      fits &= encode_q8_0(std::span<const float, kQ8Block>(values.data() + begin, kQ8Block),
                          std::span<std::uint8_t, kQ8Bytes>(out, kQ8Bytes));
    }
    return fits;
  }
  assert(type == ggml_id::f16);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const Float16Bits half = kernels::float_to_f16(values[i]);
    fits &= (half & 0x7C00U) != 0x7C00U;
    std::memcpy(out + 2 * i, &half, sizeof half);
  }
  return fits;
}

}  // namespace

std::uint64_t ExportedTensor::row_bytes() const {
  const runtime::GgmlType* type = runtime::ggml_type(type_);
  assert(type != nullptr && spec().columns % type->block == 0);
  return std::uint64_t{spec().columns / type->block} * type->block_bytes;
}

Status ExportedTensor::check() const {
  if (!is_ternary(type_)) return {};
  const runtime::TensorDescriptor& d = tensor_->descriptor;
  const char* name = runtime::ggml_type(type_)->name;
  if (d.rotation_block != 0) {
    return fail(
        "tensor '{}' has an input rotation, which llama.cpp does not compute; use --to f16, which turns the "
        "weights back",
        d.name);
  }
  if (d.planes != 1) {
    return fail("tensor '{}' has {} trit planes, {} holds one; use --to f16", d.name, d.planes, name);
  }
  const TernaryView w = runtime::ternary_view(d, tensor_->bytes);
  const std::size_t rows = w.group == 0 ? 1 : w.rows;
  const std::size_t columns = w.group == 0 ? 1 : w.columns;
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t c = 0; c < columns; c += kTernaryBlock) {
      const std::optional<float> scale = block_scale(w, row, c);
      if (!scale) {
        return fail(
            "tensor '{}' has two scales in the 256 weights of row {} from column {}, {} holds one; "
            "use --to f16",
            d.name, row, c, name);
      }
      if (!fits_f16(*scale)) {
        return fail("tensor '{}' has the scale {} in row {}, which the f16 of {} cannot hold", d.name, *scale,
                    row, name);
      }
    }
  }
  return {};
}

// Adjacent pairs: rows 2i and 2i + 1 of a head are its rows i and i + d/2 here.
std::size_t ExportedTensor::source_row(std::size_t row) const {
  if (rotary_pairs_ == 0) return row;
  const std::size_t within = row % rotary_pairs_;
  return row - within + within / 2 + within % 2 * (rotary_pairs_ / 2);
}

bool ExportedTensor::encode_row(std::size_t row, const Rotation* rotation, std::uint8_t* out) const {
  if (is_ternary(type_)) {
    encode_trits(runtime::ternary_view(tensor_->descriptor, tensor_->bytes), source_row(row), type_, out);
    return true;
  }
  std::vector<float> values(spec().columns);
  if (!spec().is_vector()) {
    float_row(*tensor_, rotation, source_row(row), values);
    return encode_floats(values, type_, out);
  }
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = at<float>(tensor_->bytes.data(), source_row(i));
  std::memcpy(out, values.data(), values.size() * sizeof(float));
  return true;
}

Status ExportedTensor::encode(std::size_t begin, std::size_t count, runtime::ThreadPool& pool,
                              std::span<std::byte> out) const {
  assert(out.size() == count * row_bytes());
  auto* bytes = reinterpret_cast<std::uint8_t*>(out.data());
  const runtime::TensorDescriptor& d = tensor_->descriptor;
  const auto rotation = make_rotation(d.columns, d.rotation_block, d.rotation_seed);
  std::atomic<bool> fits{true};
  pool.run(count, 1, [&](std::size_t from, std::size_t to, std::size_t) {
    for (std::size_t row = from; row < to; ++row) {
      if (!encode_row(begin + row, rotation.get(), bytes + row * row_bytes())) fits = false;
    }
  });
  if (fits) return {};
  return fail("tensor '{}' has weights beyond the range of f16", spec().name);
}

}  // namespace sterna::convert
