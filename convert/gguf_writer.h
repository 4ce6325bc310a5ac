// The header of a GGUF v3 file as bytes: keys in the order they are added, then tensor infos.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sterna::convert {

class GgufHeader {
 public:
  void add(std::string_view key, std::uint32_t value);
  void add(std::string_view key, float value);
  void add(std::string_view key, double value);
  void add(std::string_view key, bool value);
  void add(std::string_view key, std::string_view value);
  void add(std::string_view key, std::span<const std::string> values);
  void add(std::string_view key, std::span<const std::int32_t> values);
  void add(std::string_view key, std::span<const std::uint32_t> values);
  void add(std::string_view key, std::span<const float> values);

  // dimensions: fastest first; offset: from the start of the tensor data.
  void add_tensor(std::string_view name, std::span<const std::uint64_t> dimensions, std::uint32_t type,
                  std::uint64_t offset);

  // Magic, counts, keys, tensor infos and zeros up to a multiple of `alignment`.
  [[nodiscard]] std::vector<std::byte> serialize(std::size_t alignment) const;

 private:
  std::vector<std::byte> keys_;
  std::vector<std::byte> tensors_;
  std::uint64_t key_count_ = 0;
  std::uint64_t tensor_count_ = 0;
};

}  // namespace sterna::convert
