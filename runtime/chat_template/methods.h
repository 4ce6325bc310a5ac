// The methods of str, list, tuple and dict.
#pragma once

#include <string_view>

#include "runtime/chat_template/environment.h"

namespace sterna::runtime::jinja {

// Null when a value of this type has no such method, or not one that a template may use.
[[nodiscard]] Method string_method(std::string_view name);
[[nodiscard]] Method container_method(const Value& value, std::string_view name);

// Whether the method exists in Python but would change the value, which a template must not.
[[nodiscard]] bool is_mutating_method(const Value& value, std::string_view name);

}  // namespace sterna::runtime::jinja
