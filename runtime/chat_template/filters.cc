#include "runtime/chat_template/filters.h"

#include <algorithm>
#include <array>

#include "runtime/chat_template/printing.h"
#include "runtime/chat_template/text.h"
#include "runtime/chat_template/unicode.h"

namespace sterna::runtime::jinja {
namespace {

Filter find_filter(std::string_view name) {
  for (const auto group : {text_filters(), sequence_filters(), order_filters(), number_filters()}) {
    const auto found =
        std::find_if(group.begin(), group.end(), [&](const NamedFilter& f) { return f.name == name; });
    if (found != group.end()) return found->filter;
  }
  return nullptr;
}

Value path_part(std::string_view part) {
  const bool digits =
      !part.empty() && part.size() < 18 && part.find_first_not_of("0123456789") == std::string_view::npos;
  if (!digits) return Value::string(part);
  std::int64_t number = 0;
  for (const char c : part) number = number * 10 + (c - '0');
  return Value(number);
}

}  // namespace

bool filter_exists(std::string_view name) { return find_filter(name) != nullptr; }

Result<Value> apply_filter(Environment& env, std::string_view name, const Value& input,
                           const Arguments& arguments) {
  STERNA_CHECK(env.budget.spend(1));
  const Filter filter = find_filter(name);
  if (filter == nullptr) return fail("unknown filter '{}'", excerpt(name));
  return filter(env, input, arguments);
}

Result<AttributePath> AttributePath::parse(Budget& budget, const Value* path) {
  AttributePath result;
  if (path == nullptr || path->is_none()) return result;
  const Text* text = path->text();
  if (text == nullptr) {
    result.parts_.push_back(*path);
    return result;
  }
  STERNA_CHECK(budget.spend(text->size()));
  for (const Text& part : split(*text, ".", -1, false)) result.parts_.push_back(path_part(part.view()));
  return result;
}

Result<Value> AttributePath::get(Environment& env, const Value& item, const Value* fallback) const {
  Value value = item;
  for (const Value& part : parts_) {
    STERNA_TRY(value, get_item(env, value, part));
    if (value.is_undefined() && fallback != nullptr && !fallback->is_none()) value = *fallback;
  }
  return value;
}

Result<Value> fold_case(Budget& budget, const Value& value) {
  const Text* text = value.text();
  if (text == nullptr) return value;
  STERNA_CHECK(budget.spend_characters(text->size()));
  return make_text(budget, change_case(*text, CaseChange::lower));
}

Result<Text> soft_text(Environment& env, const Value& value) { return to_text(env.budget, value); }

}  // namespace sterna::runtime::jinja
