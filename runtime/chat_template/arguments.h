// Binding of call arguments to parameters, as Python does for a function with these parameter names.
#pragma once

#include <initializer_list>
#include <string_view>
#include <vector>

#include "runtime/chat_template/value.h"

namespace sterna::runtime::jinja {

class Bound {
 public:
  // `required` is how many of the parameters have no default. A parameter whose name is empty is positional
  // only.
  static Result<Bound> bind(std::string_view function, const Arguments& arguments,
                            std::initializer_list<std::string_view> parameters, std::size_t required = 0);

  // Null when the call does not say.
  const Value* operator[](std::size_t i) const { return values_[i]; }
  [[nodiscard]] bool truth(std::size_t i, bool otherwise) const;
  // `otherwise` also stands in for none.
  Result<std::int64_t> integer(std::size_t i, std::int64_t otherwise) const;
  // Null for an absent argument or none. Error: something other than a string.
  Result<const Text*> text(std::size_t i) const;

 private:
  std::string_view function_;
  std::vector<const Value*> values_;
};

}  // namespace sterna::runtime::jinja
