#include "runtime/chat_template/arguments.h"

#include <algorithm>

#include "runtime/chat_template/unicode.h"

namespace sterna::runtime::jinja {

Result<Bound> Bound::bind(std::string_view function, const Arguments& arguments,
                          std::initializer_list<std::string_view> parameters, std::size_t required) {
  Bound bound;
  bound.function_ = function;
  bound.values_.resize(parameters.size(), nullptr);
  if (arguments.positional.size() > parameters.size()) {
    return fail("{} takes at most {} arguments, not {}", function, parameters.size(),
                arguments.positional.size());
  }
  for (std::size_t i = 0; i < arguments.positional.size(); ++i) bound.values_[i] = &arguments.positional[i];
  for (const auto& [name, value] : arguments.named) {
    const auto* parameter = std::find(parameters.begin(), parameters.end(), name);
    if (name.empty() || parameter == parameters.end())
      return fail("{} has no parameter '{}'", function, excerpt(name));
    const Value*& slot = bound.values_[static_cast<std::size_t>(parameter - parameters.begin())];
    if (slot != nullptr) return fail("{} got two values for '{}'", function, excerpt(name));
    slot = &value;
  }
  for (std::size_t i = 0; i < required; ++i) {
    if (bound.values_[i] == nullptr)
      return fail("{} needs {} argument{}", function, required, required == 1 ? "" : "s");
  }
  return bound;
}

bool Bound::truth(std::size_t i, bool otherwise) const {
  return values_[i] == nullptr ? otherwise : jinja::truth(*values_[i]);
}

Result<std::int64_t> Bound::integer(std::size_t i, std::int64_t otherwise) const {
  if (values_[i] == nullptr || values_[i]->is_none()) return otherwise;
  if (values_[i]->is_undefined()) return values_[i]->undefined_error();
  if (const auto integer = values_[i]->integer()) return *integer;
  return fail("{} needs an integer, not {}", function_, type_name(*values_[i]));
}

Result<const Text*> Bound::text(std::size_t i) const {
  const Text* none = nullptr;
  if (values_[i] == nullptr || values_[i]->is_none()) return none;
  if (const Text* text = values_[i]->text()) return text;
  if (values_[i]->is_undefined()) return values_[i]->undefined_error();
  return fail("{} needs a string, not {}", function_, type_name(*values_[i]));
}

}  // namespace sterna::runtime::jinja
