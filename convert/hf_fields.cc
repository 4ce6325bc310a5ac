#include "convert/hf_fields.h"

#include <limits>

namespace sterna::convert {

using nlohmann::json;

const json* Fields::find(std::string_view name) const {
  const auto found = object_.find(std::string(name));
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

bool Fields::is_null(std::string_view name) const {
  const auto found = object_.find(std::string(name));
  return found != object_.end() && found->is_null();
}

std::string Fields::where(std::string_view name) const {
  return fmt::format("{}: field '{}{}'", path_, prefix_, name);
}

Error Fields::wrong_type(std::string_view name, const char* expected) const {
  return fail("{} is {}, {} is expected", where(name), find(name)->type_name(), expected);
}

Result<std::optional<std::uint32_t>> Fields::u32(std::string_view name) const {
  const json* field = find(name);
  if (field == nullptr) return std::optional<std::uint32_t>{};
  if (!field->is_number_integer()) return wrong_type(name, "a whole number");
  if (!field->is_number_unsigned() ||
      field->get<std::uint64_t>() > std::numeric_limits<std::uint32_t>::max()) {
    return fail("{} is {}, which is out of range", where(name), field->dump());
  }
  return std::optional(field->get<std::uint32_t>());
}

Result<std::optional<double>> Fields::number(std::string_view name) const {
  const json* field = find(name);
  if (field == nullptr) return std::optional<double>{};
  if (!field->is_number()) return wrong_type(name, "a number");
  return std::optional(field->get<double>());
}

Result<std::optional<bool>> Fields::boolean(std::string_view name) const {
  const json* field = find(name);
  if (field == nullptr) return std::optional<bool>{};
  if (!field->is_boolean()) return wrong_type(name, "true or false");
  return std::optional(field->get<bool>());
}

Result<std::optional<std::string>> Fields::text(std::string_view name) const {
  const json* field = find(name);
  if (field == nullptr) return std::optional<std::string>{};
  if (!field->is_string()) return wrong_type(name, "a string");
  return std::optional(field->get<std::string>());
}

Result<const json*> Fields::object(std::string_view name) const {
  const json* field = find(name);
  if (field != nullptr && !field->is_object()) return wrong_type(name, "an object");
  return field;
}

Result<std::uint32_t> Fields::required_u32(std::string_view name) const {
  STERNA_TRY(const auto value, u32(name));
  if (!value) return fail("{} is missing", where(name));
  return *value;
}

Result<bool> Fields::boolean_or(std::string_view name, bool otherwise) const {
  STERNA_TRY(const auto value, boolean(name));
  return value.value_or(otherwise);
}

}  // namespace sterna::convert
