#include <fmt/format.h>

#include <cmath>

#include "runtime/chat_template/environment.h"
#include "runtime/chat_template/methods.h"
#include "runtime/chat_template/operations.h"
#include "runtime/chat_template/printing.h"
#include "runtime/chat_template/unicode.h"

namespace sterna::runtime::jinja {
namespace {

std::string describe(const Value& value) {
  return value.is_none() ? std::string("none") : fmt::format("a {}", type_name(value));
}

Value no_attribute(const Value& value, std::string_view name) {
  return Value::undefined(fmt::format("{} has no attribute '{}'", describe(value), excerpt(name)));
}

Value no_element(const Value& value, const Value& index) {
  if (const Text* name = index.text()) return no_attribute(value, name->view());
  if (const auto integer = index.integer()) {
    return Value::undefined(fmt::format("{} has no element {}", describe(value), *integer));
  }
  return Value::undefined(fmt::format("{} has no element under a {}", describe(value), type_name(index)));
}

Result<Value> float_is_integer(Environment& /*env*/, const Value& self, const Arguments& /*arguments*/) {
  return Value(std::isfinite(*self.floating()) && *self.floating() == std::floor(*self.floating()));
}

// The parts of numbers that Python shows as attributes.
std::optional<Value> number_attribute(const Value& value, std::string_view name) {
  const auto integer = value.integer();
  if (name == "real") return integer ? Value(*integer) : value;
  if (name == "imag") return integer ? Value(std::int64_t{0}) : Value(0.0);
  if (integer && name == "numerator") return Value(*integer);
  if (integer && name == "denominator") return Value(std::int64_t{1});
  if (!integer && name == "is_integer") return make_method(value, float_is_integer);
  return std::nullopt;
}

}  // namespace

Result<std::optional<Value>> native_attribute(Environment& env, const Value& value, std::string_view name) {
  using Found = std::optional<Value>;
  if (value.is_undefined()) return value.undefined_error();
  if (Object* object = value.object()) {
    if (const auto* space = value.object_as<Namespace>())
      STERNA_CHECK(env.budget.spend(space->attributes.size() / 32));
    STERNA_TRY(Found found, object->attribute(env, value, name));
    if (found) return found;
  }
  if (value.is_number()) return number_attribute(value, name);
  const Method method = value.text() != nullptr ? string_method(name) : container_method(value, name);
  if (method != nullptr) return Found(make_method(value, method));
  if (is_mutating_method(value, name)) {
    return Found(Value::undefined(
        fmt::format("'{}' would change a {}, which a chat template must not do; use a namespace or +", name,
                    type_name(value))));
  }
  const Sequence* sequence = value.sequence();
  if (sequence != nullptr && sequence->group && name == "grouper") return Found(sequence->items[0]);
  if (sequence != nullptr && sequence->group && name == "list") return Found(sequence->items[1]);
  return Found();
}

Result<Value> get_attribute(Environment& env, const Value& value, std::string_view name) {
  STERNA_CHECK(env.budget.spend(1));
  STERNA_TRY(std::optional<Value> found, native_attribute(env, value, name));
  if (found) return *std::move(found);
  const Mapping* mapping = value.mapping();
  if (mapping == nullptr) return no_attribute(value, name);
  STERNA_CHECK(env.budget.spend(mapping->entries.size() / 32));
  const Value* element = find(*mapping, name);
  return element != nullptr ? *element : no_attribute(value, name);
}

Result<Value> get_item(Environment& env, const Value& value, const Value& index) {
  STERNA_CHECK(env.budget.spend(1));
  if (value.is_undefined()) return value.undefined_error();
  STERNA_TRY(std::optional<Value> element, subscript(env.budget, value, index));
  if (element) return *std::move(element);
  if (const Text* name = index.text()) {
    STERNA_TRY(std::optional<Value> found, native_attribute(env, value, name->view()));
    if (found) return *std::move(found);
  }
  return no_element(value, index);
}

}  // namespace sterna::runtime::jinja
