// Typed access to the fields of a tokenizer.json; every error names the file and the field.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "runtime/result.h"

namespace sterna::runtime::tokenization {

using Json = nlohmann::json;

// A JSON value and where it was found.
class Field {
 public:
  Field(const Json& json, std::string where, std::string path, bool jit, int depth = 0)
      : json_(&json), where_(std::move(where)), path_(std::move(path)), jit_(jit), depth_(depth) {}

  [[nodiscard]] const Json& json() const { return *json_; }
  [[nodiscard]] bool jit() const { return jit_; }     // whether regular expressions may become machine code
  [[nodiscard]] int depth() const { return depth_; }  // components around this one
  [[nodiscard]] bool is_null() const;

  // The member or element; a JSON null where there is none.
  [[nodiscard]] Field operator[](std::string_view key) const;
  [[nodiscard]] Field operator[](std::size_t index) const;
  [[nodiscard]] std::size_t array_size() const;

  // Errors: another type, or null where there is no fallback.
  [[nodiscard]] Result<std::string> string() const;
  [[nodiscard]] Result<std::string> string_or(std::string_view fallback) const;
  [[nodiscard]] Result<bool> boolean() const;
  [[nodiscard]] Result<bool> boolean_or(bool fallback) const;
  [[nodiscard]] Result<std::int64_t> integer(std::int64_t least, std::int64_t most) const;
  [[nodiscard]] Result<char32_t> character() const;  // a string of one code point
  [[nodiscard]] Status require_array() const;
  [[nodiscard]] Status require_object() const;

  // "file: normalizer.pattern: what"
  [[nodiscard]] Error error(std::string_view what) const;
  // For a component of an unknown "type".
  [[nodiscard]] Error unsupported(std::string_view kind, std::string_view type,
                                  std::string_view supported) const;

 private:
  const Json* json_;
  std::string where_, path_;
  bool jit_;
  int depth_;
};

// Components may contain each other this deep.
inline constexpr int kDeepestComponent = 16;

}  // namespace sterna::runtime::tokenization
