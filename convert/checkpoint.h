// The tensors of a model directory by name, whether it holds one model.safetensors or an index and its
// shards.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "convert/safetensors.h"
#include "runtime/result.h"

namespace sterna::convert {

class Checkpoint {
 public:
  // model.safetensors when there is one, else model.safetensors.index.json and every shard it names.
  static Result<Checkpoint> open(const std::string& directory);

  // nullptr when there is no such tensor.
  [[nodiscard]] const StoredTensor* find(std::string_view name) const;
  [[nodiscard]] std::vector<std::string> names() const;  // sorted
  [[nodiscard]] const std::string& directory() const { return directory_; }
  // The file that a tensor lies in (StoredTensor::offset is relative to its start), for mapping it.
  [[nodiscard]] const std::string& path_of(const StoredTensor& tensor) const;
  [[nodiscard]] std::vector<std::string> files() const;

  // Reading is safe from several threads.
  [[nodiscard]] Result<std::vector<std::byte>> read(std::string_view name) const;
  // Rows [row_begin, row_end) of the first dimension, as stored; `out` must have exactly their size.
  Status read_rows(const StoredTensor& tensor, std::uint64_t row_begin, std::uint64_t row_end,
                   std::span<std::byte> out) const;
  // The same as float32; errors for a dtype that is no float.
  Status read_floats(const StoredTensor& tensor, std::uint64_t row_begin, std::uint64_t row_end,
                     std::span<float> out) const;
  // A whole tensor as float32.
  [[nodiscard]] Result<std::vector<float>> read_floats(const StoredTensor& tensor) const;
  // An error for NaN or infinity in rows of the tensor that were read, the first of which is `row`.
  [[nodiscard]] Status check_finite(const StoredTensor& tensor, std::uint64_t row,
                                    std::span<const float> rows) const;

 private:
  Checkpoint() = default;
  Status add_file(const std::string& path);
  Status open_shards(const std::string& index_path);

  std::string directory_;
  std::vector<runtime::File> files_;
  std::map<std::string, StoredTensor, std::less<>> tensors_;
};

// F32, F16 and BF16 exactly; F64 rounded to nearest. `bytes` holds out.size() little-endian elements, of any
// alignment.
void to_float(DType type, std::span<const std::byte> bytes, std::span<float> out);

}  // namespace sterna::convert
