// Builds small safetensors files in memory.
#pragma once

#include <cstdint>
#include <cstring>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace sterna::testing {

// A file with this header and data, right or wrong.
inline std::string safetensors_bytes(const std::string& header, const std::string& data) {
  std::string bytes(8, '\0');
  for (std::size_t i = 0; i < 8; ++i) bytes[i] = static_cast<char>(header.size() >> (8 * i) & 0xFFU);
  return bytes + header + data;
}

class SafetensorsWriter {
 public:
  SafetensorsWriter& add(const std::string& name, const std::string& dtype, std::vector<std::uint64_t> shape,
                         const std::string& bytes) {
    header_[name] = {{"dtype", dtype},
                     {"shape", std::move(shape)},
                     {"data_offsets", {data_.size(), data_.size() + bytes.size()}}};
    data_ += bytes;
    return *this;
  }

  template <class T>
  SafetensorsWriter& add(const std::string& name, const std::string& dtype, std::vector<std::uint64_t> shape,
                         const std::vector<T>& values) {
    std::string bytes(values.size() * sizeof(T), '\0');
    if (!values.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
    return add(name, dtype, std::move(shape), bytes);
  }

  SafetensorsWriter& floats(const std::string& name, std::vector<std::uint64_t> shape,
                            const std::vector<float>& values) {
    return add(name, "F32", std::move(shape), values);
  }

  [[nodiscard]] std::string bytes() const { return safetensors_bytes(header_.dump(), data_); }

 private:
  nlohmann::json header_ = nlohmann::json::object();
  std::string data_;
};

// A float as bfloat16, if it is one (else truncated).
inline std::uint16_t bf16_bits(float x) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &x, sizeof bits);
  return static_cast<std::uint16_t>(bits >> 16);
}

}  // namespace sterna::testing
