// One safetensors file: 8 bytes of little-endian header length, a JSON header, then the data. The header is
// read and checked once; tensors are read in pieces with File::read_at and never mapped here, so that
// converting a model of any size needs little memory. Format: github.com/huggingface/safetensors, section
// "Format".
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/file.h"
#include "runtime/result.h"

namespace sterna::convert {

// Everything the format names. `other` stands for the 4-, 6- and 8-bit floats and complex numbers: a file may
// hold them and its other tensors are still readable.
enum class DType : std::uint8_t { f64, f32, f16, bf16, i64, i32, i16, i8, u64, u32, u16, u8, boolean, other };

const char* dtype_name(DType type);
// Bytes of one element; 0 for DType::other.
std::size_t dtype_bytes(DType type);
// F64, F32, F16 or BF16: what to_float() takes.
bool is_float(DType type);

struct StoredTensor {
  std::string name;
  DType dtype = DType::other;
  std::vector<std::uint64_t> shape;  // row-major; empty for a scalar
  std::uint64_t offset = 0;          // absolute, in its file
  std::uint64_t bytes = 0;
  std::uint32_t file = 0;  // index of the file in a Checkpoint

  // shape[0] (1 for a scalar), and elements per row.
  [[nodiscard]] std::uint64_t rows() const;
  [[nodiscard]] std::uint64_t columns() const;
  // "[2560, 6912] BF16", for messages.
  [[nodiscard]] std::string describe() const;
};

// The larger headers of published models are below 1 MB; the reference implementation has the same bound.
inline constexpr std::uint64_t kMaxSafetensorsHeader = 100'000'000;

// The length of the JSON header from the first 8 bytes of a file of `file_size` bytes.
Result<std::uint64_t> safetensors_header_length(std::span<const std::byte> first, std::uint64_t file_size,
                                                const std::string& path);

// The tensors of a header, in order of their offsets. Errors (naming file, tensor and field): not JSON, a
// name twice, an unknown dtype, a negative or overflowing shape, a size that is not shape times dtype, data
// that overlap, leave holes, or lie outside of a file of `file_size` bytes.
Result<std::vector<StoredTensor>> parse_safetensors_header(std::string_view header, std::uint64_t file_size,
                                                           const std::string& path);

class SafetensorsFile {
 public:
  static Result<SafetensorsFile> open(const std::string& path);

  [[nodiscard]] const std::vector<StoredTensor>& tensors() const { return tensors_; }
  [[nodiscard]] const runtime::File& file() const { return file_; }
  [[nodiscard]] std::vector<StoredTensor> take_tensors() { return std::move(tensors_); }
  [[nodiscard]] runtime::File take_file() { return std::move(file_); }

 private:
  SafetensorsFile(runtime::File file, std::vector<StoredTensor> tensors)
      : file_(std::move(file)), tensors_(std::move(tensors)) {}
  runtime::File file_;
  std::vector<StoredTensor> tensors_;
};

}  // namespace sterna::convert
