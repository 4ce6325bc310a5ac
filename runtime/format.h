// Sterna's model file: GGUF v3 with general.architecture "sterna". docs/format.md describes it bit for bit;
// this header is what the writer (convert) and the reader (runtime) share, so that each name and rule is
// written once.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "kernels/views.h"
#include "runtime/config.h"
#include "runtime/result.h"

namespace sterna::runtime {

inline constexpr std::string_view kArchitecture = "sterna";
inline constexpr std::uint32_t kFormatVersion = 1;
inline constexpr std::size_t kFileAlignment = 64;

// Keys beside general.* and tokenizer.*; those of the configuration are in config_keys.cc.
namespace key {
inline constexpr std::string_view architecture = "general.architecture";
inline constexpr std::string_view name = "general.name";
inline constexpr std::string_view alignment = "general.alignment";
inline constexpr std::string_view checksum = "sterna.checksum";       // u32, see header_checksum()
inline constexpr std::string_view version = "sterna.format_version";  // u32
inline constexpr std::string_view tensors = "sterna.tensors";         // [string], a descriptor each
inline constexpr std::string_view source = "sterna.source";         // how the weights came about, for people
inline constexpr std::string_view origin = "sterna.repacked_from";  // u32, the checksum of another file
inline constexpr std::string_view stop_tokens = "sterna.stop_tokens";  // [i32]
inline constexpr std::string_view pipeline =
    "sterna.tokenizer.pipeline";  // tokenizer.json less vocabulary and merges
inline constexpr std::string_view bos_text = "sterna.tokenizer.bos";  // for templates
inline constexpr std::string_view eos_text = "sterna.tokenizer.eos";
inline constexpr std::string_view tokenizer_model = "tokenizer.ggml.model";
inline constexpr std::string_view tokens = "tokenizer.ggml.tokens";
inline constexpr std::string_view token_types = "tokenizer.ggml.token_type";
inline constexpr std::string_view merges = "tokenizer.ggml.merges";
inline constexpr std::string_view bos_id = "tokenizer.ggml.bos_token_id";
inline constexpr std::string_view eos_id = "tokenizer.ggml.eos_token_id";
inline constexpr std::string_view chat_template = "tokenizer.chat_template";
}  // namespace key

// How the bytes of a tensor are arranged.
enum class Layout : std::uint8_t {
  f32,       // row-major
  f16,       // row-major
  bf16,      // row-major
  i8_rows,   // row scales (float32), padded to 64 bytes, then int8 row-major
  i8_split,  // row scales (float32), padded to 64 bytes, then the codes and bounds of kernels::SplitView
  // Scales, padded to 64 bytes, then codes in a kernels::CodeForm (kernels/views.h).
  trit2,
  base3,
  pairs,
  triples,
};
std::string_view layout_name(Layout layout);
[[nodiscard]] constexpr bool is_ternary(Layout layout) { return layout >= Layout::trit2; }
[[nodiscard]] kernels::CodeForm code_form(Layout layout);  // of a ternary one
[[nodiscard]] Layout ternary_layout(kernels::CodeForm form);

struct TensorDescriptor {
  std::string name;
  std::uint64_t rows = 1;
  std::uint64_t columns = 0;
  Layout layout = Layout::f32;
  std::uint64_t planes = 1;  // of ternary ones; likewise:
  std::uint64_t group = 0;   // columns per scale, 0: one scale
  kernels::ScaleType scale_type = kernels::ScaleType::f32;
  std::uint32_t crc32 = 0;           // of the tensor's bytes
  std::uint64_t rotation_block = 0;  // of ternary ones: the input goes through kernels::rotate first; 0: none
  std::uint32_t rotation_seed = 0;   // of kernels::fill_rotation

  [[nodiscard]] std::uint64_t scale_bytes() const;  // before padding; 0 for dense layouts
  [[nodiscard]] std::uint64_t bytes() const;
  [[nodiscard]] std::uint64_t weights() const { return rows * columns; }
};

// A descriptor as one line of JSON, and back. Parsing checks every range, so that bytes() cannot overflow,
// and refuses a descriptor whose "requires" names something that this version does not know.
std::string to_json(const TensorDescriptor& descriptor);
Result<TensorDescriptor> parse_descriptor(std::string_view json, const std::string& where);

// Views into the bytes of a tensor, which must be descriptor.bytes() long and 64-byte aligned.
kernels::TernaryView ternary_view(const TensorDescriptor& descriptor, std::span<const std::byte> bytes);
kernels::SplitView split_view(const TensorDescriptor& descriptor, std::span<const std::byte> bytes);
kernels::DenseView dense_view(const TensorDescriptor& descriptor, std::span<const std::byte> bytes);

// CRC-32 as zlib has it; `start` is that of what lies before `bytes`.
std::uint32_t crc32_of(std::span<const std::byte> bytes, std::uint32_t start = 0);

// CRC-32 of two pieces that follow each other, from those of each.
std::uint32_t combined_crc32(std::uint32_t first, std::uint32_t second, std::uint64_t second_bytes);

// CRC-32 of everything before the tensor data, the four bytes of the checksum value itself taken as zero.
std::uint32_t header_checksum(std::span<const std::byte> header, std::size_t checksum_offset);

}  // namespace sterna::runtime
