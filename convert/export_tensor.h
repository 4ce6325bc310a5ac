// One tensor of a Sterna file as other programs' GGUF files hold it.
#pragma once

#include <cstdint>
#include <span>

#include "convert/graph/rotation.h"
#include "runtime/model_file.h"
#include "runtime/result.h"
#include "runtime/thread_pool.h"

namespace sterna::convert {

class ExportedTensor {
 public:
  // type: f32 for vectors; f16, q8_0, tq1_0 or tq2_0 for matrices, whose rows the block of the type divides.
  // rotary_pairs: the head dimension where the rows (of q, k and their biases) are to be rotated as adjacent
  // pairs, not as two halves of a head; 0 elsewhere. `tensor` must outlive this.
  ExportedTensor(const runtime::StoredModel::Tensor& tensor, std::uint32_t type, std::uint32_t rotary_pairs)
      : tensor_(&tensor), type_(type), rotary_pairs_(rotary_pairs) {}

  [[nodiscard]] const runtime::TensorSpec& spec() const { return tensor_->spec; }
  [[nodiscard]] std::uint32_t type() const { return type_; }
  [[nodiscard]] std::uint64_t row_bytes() const;
  [[nodiscard]] std::uint64_t bytes() const { return spec().rows * row_bytes(); }

  // Can the type hold the weights? Ternary types: one plane, and one scale for each 256 weights of a row
  // that f16 holds to its 11 bits; no input rotation.
  [[nodiscard]] Status check() const;

  // Rows [begin, begin + count) in the order of the other program, count * row_bytes() bytes. Ternary types
  // keep every trit; q8_0 and f16 round, and a matrix with an input rotation gets that of the input turned
  // back. Errors: weights beyond the range of f16.
  Status encode(std::size_t begin, std::size_t count, runtime::ThreadPool& pool,
                std::span<std::byte> out) const;

 private:
  [[nodiscard]] std::size_t source_row(std::size_t row) const;
  // rotation: of the input; none: not rotated
  [[nodiscard]] bool encode_row(std::size_t row, const Rotation* rotation, std::uint8_t* out) const;

  const runtime::StoredModel::Tensor* tensor_;
  std::uint32_t type_;
  std::uint32_t rotary_pairs_;
};

}  // namespace sterna::convert
