// The filters of the template language, in groups.
#pragma once

#include <span>
#include <string_view>

#include "runtime/chat_template/environment.h"

namespace sterna::runtime::jinja {

using Filter = Result<Value> (*)(Environment&, const Value& input, const Arguments&);

struct NamedFilter {
  std::string_view name;
  Filter filter;
};

[[nodiscard]] std::span<const NamedFilter> text_filters();
[[nodiscard]] std::span<const NamedFilter> sequence_filters();
[[nodiscard]] std::span<const NamedFilter> order_filters();
[[nodiscard]] std::span<const NamedFilter> number_filters();

// The path "a.b.0" of the argument `attribute` of many filters, applied element by element.
class AttributePath {
 public:
  // `path`: a string, an integer, or none (null too) for the element itself.
  static Result<AttributePath> parse(Budget& budget, const Value* path);
  // `fallback` (may be null or none) replaces what is undefined on the way.
  Result<Value> get(Environment& env, const Value& item, const Value* fallback = nullptr) const;

 private:
  std::vector<Value> parts_;
};

// Strings in lower case, everything else as it is: how filters compare unless told otherwise.
Result<Value> fold_case(Budget& budget, const Value& value);
// The value as a string, as filters of strings take it.
Result<Text> soft_text(Environment& env, const Value& value);

}  // namespace sterna::runtime::jinja
