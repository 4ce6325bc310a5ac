// Typed access to the fields of one JSON object of a model directory; every error names file and field.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "runtime/result.h"

namespace sterna::convert {

class Fields {
 public:
  // `prefix` is put before field names in messages: "quantization_config.". `object` must be an object and
  // outlive this.
  Fields(const nlohmann::json& object, std::string path, std::string prefix = {})
      : object_(object), path_(std::move(path)), prefix_(std::move(prefix)) {}

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] bool has(std::string_view name) const { return find(name) != nullptr; }  // there and not null
  [[nodiscard]] bool is_null(std::string_view name) const;                               // there and null
  // nullptr when absent or null.
  [[nodiscard]] const nlohmann::json* find(std::string_view name) const;
  // "config.json: field 'quantization_config.linear_class'"
  [[nodiscard]] std::string where(std::string_view name) const;

  // Absent and null: nullopt. Another type: an error.
  [[nodiscard]] Result<std::optional<std::uint32_t>> u32(std::string_view name) const;
  [[nodiscard]] Result<std::optional<double>> number(std::string_view name) const;
  [[nodiscard]] Result<std::optional<bool>> boolean(std::string_view name) const;
  [[nodiscard]] Result<std::optional<std::string>> text(std::string_view name) const;
  // nullptr when absent.
  [[nodiscard]] Result<const nlohmann::json*> object(std::string_view name) const;

  [[nodiscard]] Result<std::uint32_t> required_u32(std::string_view name) const;
  [[nodiscard]] Result<bool> boolean_or(std::string_view name, bool otherwise) const;

 private:
  [[nodiscard]] Error wrong_type(std::string_view name, const char* expected) const;

  const nlohmann::json& object_;
  std::string path_;
  std::string prefix_;
};

}  // namespace sterna::convert
