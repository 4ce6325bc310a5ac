// What filters, tests, methods and functions share during one rendering.
#pragma once

#include <ctime>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "runtime/chat_template/budget.h"
#include "runtime/chat_template/value.h"

namespace sterna::runtime::jinja {

struct Environment {
  Budget budget;
  std::function<std::tm()> clock;                      // local time
  std::vector<std::shared_ptr<Namespace>> namespaces;  // all that were made: they can form cycles
  bool raised = false;  // the error is the template's own, from raise_exception
};

// value.name: an attribute (methods included) first, then value["name"]. Undefined when there is neither.
Result<Value> get_attribute(Environment& env, const Value& value, std::string_view name);
// value[index]: an element first, then for a string the attribute of that name. Undefined when there is
// neither.
Result<Value> get_item(Environment& env, const Value& value, const Value& index);
// The attribute alone, without the way over value["name"].
Result<std::optional<Value>> native_attribute(Environment& env, const Value& value, std::string_view name);

// Any filter or test by name. Errors: unknown name, and whatever the filter itself refuses.
Result<Value> apply_filter(Environment& env, std::string_view name, const Value& input,
                           const Arguments& arguments);
Result<bool> apply_test(Environment& env, std::string_view name, const Value& input,
                        const Arguments& arguments);
[[nodiscard]] bool filter_exists(std::string_view name);
[[nodiscard]] bool test_exists(std::string_view name);

// range, dict, namespace, raise_exception ...; nothing for an unknown name.
[[nodiscard]] std::optional<Value> global_function(std::string_view name);

}  // namespace sterna::runtime::jinja
