// GGUF v2 and v3 containers, any producer's: parsed and bounds-checked once, then read through views into the
// file's bytes. The format: header {magic "GGUF", u32 version, u64 tensors, u64 keys}, keys, tensor infos,
// padding to general.alignment, tensor data. Little endian.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/result.h"

namespace sterna::runtime {

enum class GgufType : std::uint32_t {
  u8,
  i8,
  u16,
  i16,
  u32,
  i32,
  f32,
  boolean,
  string,
  array,
  u64,
  i64,
  f64
};

// Bytes of one scalar; 0 for strings and arrays.
std::size_t gguf_scalar_bytes(GgufType type);
const char* gguf_type_name(GgufType type);

// One metadata value. Scalars and strings are decoded; an array is its element type, count and bytes.
struct GgufValue {
  GgufType type = GgufType::u8;
  GgufType element = GgufType::u8;   // arrays
  std::uint64_t count = 0;           // arrays
  std::span<const std::byte> bytes;  // of the scalar, of the string's text, or of all elements

  [[nodiscard]] std::optional<std::uint64_t> as_uint() const;  // any integer that is >= 0, or a boolean
  [[nodiscard]] std::optional<std::int64_t> as_int() const;
  [[nodiscard]] std::optional<double> as_float() const;  // any number
  [[nodiscard]] std::optional<bool> as_bool() const;
  [[nodiscard]] std::optional<std::string_view> as_string() const;
  [[nodiscard]] std::vector<std::string_view> as_strings() const;  // empty if not an array of strings
  [[nodiscard]] std::vector<double> as_floats() const;             // an array of numbers as doubles
};

struct GgufTensor {
  std::string_view name;
  std::vector<std::uint64_t> dimensions;  // fastest first: {columns, rows}
  std::uint32_t type = 0;                 // ggml type id
  std::uint64_t offset = 0;               // from the start of the file
  std::uint64_t bytes = 0;                // for types that we do not know: up to the next tensor
  [[nodiscard]] std::uint64_t elements() const;
};

// Name, elements per block and bytes per block of a ggml type id; nullptr for ids that we do not know.
struct GgmlType {
  std::uint32_t id;
  const char* name;
  std::uint32_t block;
  std::uint32_t block_bytes;
};
const GgmlType* ggml_type(std::uint32_t id);

namespace ggml_id {
inline constexpr std::uint32_t f32 = 0;
inline constexpr std::uint32_t f16 = 1;
inline constexpr std::uint32_t q8_0 = 8;
inline constexpr std::uint32_t i8 = 24;
inline constexpr std::uint32_t bf16 = 30;
inline constexpr std::uint32_t tq1_0 = 34;
inline constexpr std::uint32_t tq2_0 = 35;
}  // namespace ggml_id

class Gguf {
 public:
  // `file` must stay valid; `where` names it in messages.
  static Result<Gguf> parse(std::span<const std::byte> file, std::string where);

  [[nodiscard]] const GgufValue* find(std::string_view key) const;
  [[nodiscard]] const GgufTensor* tensor(std::string_view name) const;
  [[nodiscard]] const std::vector<std::pair<std::string_view, GgufValue>>& keys() const { return keys_; }
  [[nodiscard]] const std::vector<GgufTensor>& tensors() const { return tensors_; }
  [[nodiscard]] std::span<const std::byte> data(const GgufTensor& tensor) const;
  [[nodiscard]] std::uint32_t version() const { return version_; }
  [[nodiscard]] std::uint64_t alignment() const { return alignment_; }
  [[nodiscard]] std::uint64_t data_start() const { return data_start_; }
  [[nodiscard]] const std::string& where() const { return where_; }

 private:
  Status place_tensors();
  std::span<const std::byte> file_;
  std::string where_;
  std::uint32_t version_ = 0;
  std::uint64_t alignment_ = 32;
  std::uint64_t data_start_ = 0;
  std::vector<std::pair<std::string_view, GgufValue>> keys_;
  std::vector<std::size_t> key_order_;  // indices of keys_, by name
  std::vector<GgufTensor> tensors_;
  std::vector<std::size_t> tensor_order_;  // indices of tensors_, by name
};

}  // namespace sterna::runtime
