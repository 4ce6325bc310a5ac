// One tensor of a checkpoint in the form in which the file, or a model in memory, holds it.
#pragma once

#include <functional>
#include <optional>
#include <span>

#include "convert/checkpoint.h"
#include "convert/hf_config.h"
#include "convert/packed_matrix.h"
#include "runtime/format.h"
#include "runtime/result.h"
#include "runtime/storage.h"
#include "runtime/tensor_list.h"
#include "runtime/thread_pool.h"

namespace sterna::convert {

enum class EmbeddingForm : std::uint8_t { keep, bf16, int8 };  // of the embedding and the head

// Matrices that were fitted before the file is written.
class FittedMatrices {
 public:
  struct Matrix {
    PackedMatrix packed;
    std::uint64_t rotation_block = 0;  // 0: none
    std::uint32_t rotation_seed = 0;
    std::optional<double> relative_error;  // none: the matrix was not ternarised here
  };
  virtual ~FittedMatrices() = default;
  // Of a linear, or none: it is encoded as if there were no fit. The tensors of a layer are asked for one
  // after the other.
  [[nodiscard]] virtual Result<std::optional<Matrix>> matrix(const runtime::TensorSpec& spec) const = 0;
  // Of a vector that the fit has changed.
  [[nodiscard]] virtual std::optional<std::vector<float>> vector(const runtime::TensorSpec& spec) const = 0;
};

struct EncodeOptions {
  std::optional<std::size_t> planes;  // float linears: trit planes; none: they stay as stored
  EmbeddingForm embedding = EmbeddingForm::int8;
  runtime::Storage storage = runtime::Storage::fast;
  const FittedMatrices* fitted =
      nullptr;  // what it has comes from there; of a float model planes is set, too
};

// The layout that encode_tensor() will choose, which depends on names and options only; of a ternary matrix
// any ternary layout, since how many planes and scales it has shows when it is read.
runtime::Layout planned_layout(const Checkpoint& checkpoint, const HfModel& model,
                               const runtime::TensorSpec& spec, const EncodeOptions& options);

struct Encoded {
  runtime::TensorDescriptor descriptor;  // complete, with the checksum
  double relative_error = 0.0;           // ||W - Q|| / ||W|| where planes were fitted
  bool fitted = false;                   // ternarised here, not trained so
};

// Streams the tensor's bytes into `sink`, descriptor.bytes() in all. Rules: linears that were trained
// ternary, or whose values are ternary, are packed exactly; other linears get options.planes fitted planes or
// stay as stored; vectors become f32; the embedding and the head follow options.embedding. NaN and infinity
// are errors wherever they are.
using ByteSink = std::function<Status(std::span<const std::byte>)>;
Result<Encoded> encode_tensor(const Checkpoint& checkpoint, const HfModel& model,
                              const runtime::TensorSpec& spec, const EncodeOptions& options,
                              runtime::ThreadPool& pool, const ByteSink& sink);

}  // namespace sterna::convert
