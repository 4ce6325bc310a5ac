#include "runtime/tokenizer/json_fields.h"

#include <nlohmann/json.hpp>

#include "runtime/tokenizer/unicode.h"

namespace sterna::runtime::tokenization {

namespace {

const Json kNull;

}  // namespace

bool Field::is_null() const { return json_->is_null(); }

Field Field::operator[](std::string_view key) const {
  const Json* value = &kNull;
  if (json_->is_object()) {
    const auto found = json_->find(std::string(key));
    if (found != json_->end()) value = &*found;
  }
  return {*value, where_, path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key), jit_,
          depth_ + 1};
}

Field Field::operator[](std::size_t index) const {
  const Json& value = json_->is_array() && index < json_->size() ? (*json_)[index] : kNull;
  return {value, where_, fmt::format("{}[{}]", path_, index), jit_, depth_};
}

std::size_t Field::array_size() const { return json_->is_array() ? json_->size() : 0; }

Result<std::string> Field::string() const {
  if (!json_->is_string()) return error("a string is needed");
  return json_->get_ref<const std::string&>();
}

Result<std::string> Field::string_or(std::string_view fallback) const {
  if (is_null()) return std::string(fallback);
  return string();
}

Result<bool> Field::boolean() const {
  if (!json_->is_boolean()) return error("true or false is needed");
  return json_->get<bool>();
}

Result<bool> Field::boolean_or(bool fallback) const {
  if (is_null()) return fallback;
  return boolean();
}

Result<std::int64_t> Field::integer(std::int64_t least, std::int64_t most) const {
  const bool fits = json_->is_number_integer() &&
                    (!json_->is_number_unsigned() || json_->get<std::uint64_t>() <= INT64_MAX);
  const std::int64_t value = fits ? json_->get<std::int64_t>() : 0;
  if (!fits || value < least || value > most)
    return error(fmt::format("an integer from {} to {} is needed", least, most));
  return value;
}

Result<char32_t> Field::character() const {
  STERNA_TRY(const std::string text, string());
  if (text.empty() || code_point_at(text, 0).length != text.size())
    return error("a single character is needed");
  return code_point_at(text, 0).value;
}

Status Field::require_array() const {
  if (!json_->is_array()) return error("an array is needed");
  return {};
}

Status Field::require_object() const {
  if (!json_->is_object()) return error("an object is needed");
  return {};
}

Error Field::error(std::string_view what) const {
  return fail("{}: {}: {}", where_, path_.empty() ? "the tokenizer" : path_, what);
}

Error Field::unsupported(std::string_view kind, std::string_view type, std::string_view supported) const {
  return error(fmt::format("the {} '{}' is not supported; supported are {}", kind, type, supported));
}

}  // namespace sterna::runtime::tokenization
