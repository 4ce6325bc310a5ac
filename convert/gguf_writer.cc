#include "convert/gguf_writer.h"

#include <bit>
#include <cstring>

#include "runtime/gguf.h"

namespace sterna::convert {
namespace {

using runtime::GgufType;

static_assert(std::endian::native == std::endian::little,
              "GGUF is little endian and written as it lies in memory");

template <class T>
void put(std::vector<std::byte>& out, T value) {
  const std::size_t at = out.size();
  out.resize(at + sizeof value);
  std::memcpy(out.data() + at, &value, sizeof value);
}

void put(std::vector<std::byte>& out, std::string_view text) {
  put(out, static_cast<std::uint64_t>(text.size()));
  const auto bytes = std::as_bytes(std::span(text));
  out.insert(out.end(), bytes.begin(), bytes.end());
}

void put_key(std::vector<std::byte>& out, std::string_view key, GgufType type) {
  put(out, key);
  put(out, static_cast<std::uint32_t>(type));
}

void put_array(std::vector<std::byte>& out, std::string_view key, GgufType element, std::size_t count) {
  put_key(out, key, GgufType::array);
  put(out, static_cast<std::uint32_t>(element));
  put(out, static_cast<std::uint64_t>(count));
}

}  // namespace

void GgufHeader::add(std::string_view key, std::uint32_t value) {
  put_key(keys_, key, GgufType::u32);
  put(keys_, value);
  ++key_count_;
}

void GgufHeader::add(std::string_view key, float value) {
  put_key(keys_, key, GgufType::f32);
  put(keys_, value);
  ++key_count_;
}

void GgufHeader::add(std::string_view key, double value) {
  put_key(keys_, key, GgufType::f64);
  put(keys_, value);
  ++key_count_;
}

void GgufHeader::add(std::string_view key, bool value) {
  put_key(keys_, key, GgufType::boolean);
  put(keys_, static_cast<std::uint8_t>(value ? 1 : 0));
  ++key_count_;
}

void GgufHeader::add(std::string_view key, std::string_view value) {
  put_key(keys_, key, GgufType::string);
  put(keys_, value);
  ++key_count_;
}

void GgufHeader::add(std::string_view key, std::span<const std::string> values) {
  put_array(keys_, key, GgufType::string, values.size());
  for (const std::string& value : values) put(keys_, std::string_view(value));
  ++key_count_;
}

void GgufHeader::add(std::string_view key, std::span<const std::int32_t> values) {
  put_array(keys_, key, GgufType::i32, values.size());
  for (const std::int32_t value : values) put(keys_, value);
  ++key_count_;
}

void GgufHeader::add(std::string_view key, std::span<const std::uint32_t> values) {
  put_array(keys_, key, GgufType::u32, values.size());
  for (const std::uint32_t value : values) put(keys_, value);
  ++key_count_;
}

void GgufHeader::add(std::string_view key, std::span<const float> values) {
  put_array(keys_, key, GgufType::f32, values.size());
  for (const float value : values) put(keys_, value);
  ++key_count_;
}

void GgufHeader::add_tensor(std::string_view name, std::span<const std::uint64_t> dimensions,
                            std::uint32_t type, std::uint64_t offset) {
  put(tensors_, name);
  put(tensors_, static_cast<std::uint32_t>(dimensions.size()));
  for (const std::uint64_t dimension : dimensions) put(tensors_, dimension);
  put(tensors_, type);
  put(tensors_, offset);
  ++tensor_count_;
}

std::vector<std::byte> GgufHeader::serialize(std::size_t alignment) const {
  std::vector<std::byte> out;
  put(out, std::uint32_t{0x46554747});  // "GGUF"
  put(out, std::uint32_t{3});
  put(out, tensor_count_);
  put(out, key_count_);
  out.insert(out.end(), keys_.begin(), keys_.end());
  out.insert(out.end(), tensors_.begin(), tensors_.end());
  out.resize((out.size() + alignment - 1) / alignment * alignment);
  return out;
}

}  // namespace sterna::convert
