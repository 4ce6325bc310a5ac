#include <algorithm>
#include <array>

#include "runtime/chat_template/arguments.h"
#include "runtime/chat_template/filters.h"
#include "runtime/chat_template/operations.h"
#include "runtime/chat_template/printing.h"
#include "runtime/chat_template/unicode.h"

namespace sterna::runtime::jinja {
namespace {

Result<Value> filter_default(Environment& /*env*/, const Value& input, const Arguments& arguments) {
  STERNA_TRY(const Bound bound, Bound::bind("default", arguments, {"default_value", "boolean"}));
  if (!input.is_undefined() && !(bound.truth(1, false) && !truth(input))) return input;
  return bound[0] == nullptr ? Value(Text()) : *bound[0];
}

Result<Value> filter_length(Environment& env, const Value& input, const Arguments& arguments) {
  STERNA_TRY([[maybe_unused]] const Bound bound, Bound::bind("length", arguments, {}));
  if (input.text() != nullptr) STERNA_CHECK(env.budget.spend_search(input.text()->size(), 0));
  const auto size = length(input);
  if (size) return Value::size(*size);
  if (Object* object = input.object(); object != nullptr && object->kind == Object::Kind::loop) {
    return get_attribute(env, input, "length");
  }
  return fail("a value of type {} has no length{}", type_name(input),
              input.object_as<Iterator>() != nullptr ? "; make it a list first" : "");
}

Result<Value> filter_first(Environment& env, const Value& input, const Arguments& arguments) {
  STERNA_TRY([[maybe_unused]] const Bound bound, Bound::bind("first", arguments, {}));
  if (auto* iterator = input.object_as<Iterator>();
      iterator != nullptr && iterator->next < iterator->items.size()) {
    return iterator->items[iterator->next++];
  }
  STERNA_TRY(const std::vector<Value> items, iterate(env.budget, input));
  return items.empty() ? Value::undefined("there is no first element, the sequence is empty") : items.front();
}

Result<Value> filter_last(Environment& env, const Value& input, const Arguments& arguments) {
  STERNA_TRY([[maybe_unused]] const Bound bound, Bound::bind("last", arguments, {}));
  STERNA_TRY(const std::vector<Value> items, iterate_backwards(env.budget, input));
  return items.empty() ? Value::undefined("there is no last element, the sequence is empty") : items.front();
}

Result<Value> filter_list(Environment& env, const Value& input, const Arguments& arguments) {
  STERNA_TRY([[maybe_unused]] const Bound bound, Bound::bind("list", arguments, {}));
  STERNA_TRY(std::vector<Value> items, iterate(env.budget, input));
  return make_list(env.budget, std::move(items));
}

Result<Value> filter_reverse(Environment& env, const Value& input, const Arguments& arguments) {
  STERNA_TRY([[maybe_unused]] const Bound bound, Bound::bind("reverse", arguments, {}));
  if (const Text* text = input.text()) {
    STERNA_CHECK(env.budget.spend_bytes(text->size() * sizeof(std::size_t)));
    return Value(reversed(*text));
  }
  STERNA_TRY(std::vector<Value> items, iterate(env.budget, input));
  std::reverse(items.begin(), items.end());
  // Only what cannot be walked backwards has to become a list for it.
  if (input.object_as<Iterator>() != nullptr) return make_list(env.budget, std::move(items));
  return make_iterator(std::move(items));
}

Result<Value> filter_join(Environment& env, const Value& input, const Arguments& arguments) {
  STERNA_TRY(const Bound bound, Bound::bind("join", arguments, {"d", "attribute"}));
  STERNA_TRY(const AttributePath path, AttributePath::parse(env.budget, bound[1]));
  STERNA_TRY(const std::vector<Value> items, iterate(env.budget, input));
  Text separator;
  if (bound[0] != nullptr) {
    STERNA_TRY(separator, to_text(env.budget, *bound[0]));
  }
  std::vector<Text> parts;
  for (const Value& item : items) {
    STERNA_TRY(const Value value, path.get(env, item));
    STERNA_TRY(Text part, to_text(env.budget, value));
    parts.push_back(std::move(part));
  }
  STERNA_TRY(Text result, join(env.budget, separator, parts));
  return Value(std::move(result));
}

Result<Value> filter_items(Environment& env, const Value& input, const Arguments& arguments) {
  STERNA_TRY([[maybe_unused]] const Bound bound, Bound::bind("items", arguments, {}));
  if (input.is_undefined()) return make_iterator({});
  if (input.mapping() == nullptr)
    return make_iterator({}, fail("items needs a dict, not {}", type_name(input)));
  View view;
  view.mapping = input.shared_mapping();
  view.what = View::What::items;
  STERNA_TRY(std::vector<Value> items, view_items(env.budget, view));
  return make_iterator(std::move(items));
}

Result<Value> filter_attr(Environment& env, const Value& input, const Arguments& arguments) {
  STERNA_TRY(const Bound bound, Bound::bind("attr", arguments, {"name"}, 1));
  STERNA_TRY(const Text* name, bound.text(0));
  if (name == nullptr) return fail("attr needs a name");
  STERNA_TRY(std::optional<Value> found, native_attribute(env, input, name->view()));
  if (found) return *std::move(found);
  return Value::undefined(fmt::format("a {} has no attribute '{}'", type_name(input), excerpt(name->view())));
}

// ---- map, select, reject and kin: generators, whose errors wait for the one who walks them ----

// each(element) gives a value for the result, nothing to leave it out, or the error that ends the walk.
template <class Each>
Value generate(Environment& env, const Value& input, const Each& each) {
  if (!truth(input)) return make_iterator({});
  auto items = iterate(env.budget, input);
  if (!items) return make_iterator({}, items.error());
  std::vector<Value> out;
  for (const Value& item : *items) {
    Result<std::optional<Value>> result = each(item);
    if (!result) return make_iterator(std::move(out), result.error());
    if (*result) out.push_back(**std::move(result));
  }
  return make_iterator(std::move(out));
}

Arguments without_first(const Arguments& arguments, std::size_t count) {
  Arguments rest;
  rest.positional.assign(arguments.positional.begin() + static_cast<std::ptrdiff_t>(count),
                         arguments.positional.end());
  rest.named = arguments.named;
  return rest;
}

Result<Value> map_attribute(Environment& env, const Value& input, const Arguments& arguments) {
  STERNA_TRY(const Bound bound, Bound::bind("map", arguments, {"attribute", "default"}, 1));
  STERNA_TRY(const AttributePath path, AttributePath::parse(env.budget, bound[0]));
  return generate(env, input, [&](const Value& item) -> Result<std::optional<Value>> {
    STERNA_TRY(Value value, path.get(env, item, bound[1]));
    return std::optional<Value>(std::move(value));
  });
}

Result<Value> filter_map(Environment& env, const Value& input, const Arguments& arguments) {
  const auto attribute = [](const auto& named) { return named.first == "attribute"; };
  if (arguments.positional.empty() &&
      std::any_of(arguments.named.begin(), arguments.named.end(), attribute)) {
    auto mapped = map_attribute(env, input, arguments);
    return mapped ? std::move(mapped) : make_iterator({}, mapped.error());
  }
  const Text* name = arguments.positional.empty() ? nullptr : arguments.positional[0].text();
  if (name == nullptr)
    return truth(input) ? make_iterator({}, fail("map needs the name of a filter")) : make_iterator({});
  const Arguments rest = without_first(arguments, 1);
  return generate(env, input, [&](const Value& item) -> Result<std::optional<Value>> {
    STERNA_TRY(Value value, apply_filter(env, name->view(), item, rest));
    return std::optional<Value>(std::move(value));
  });
}

template <bool keep, bool by_attribute>
Result<Value> filter_select(Environment& env, const Value& input, const Arguments& arguments) {
  constexpr std::size_t kOffset = by_attribute ? 1 : 0;
  if (arguments.positional.size() < kOffset) {
    return truth(input) ? make_iterator({}, fail("the filter needs the name of an attribute"))
                        : make_iterator({});
  }
  STERNA_TRY(const AttributePath path,
             AttributePath::parse(env.budget, by_attribute ? &arguments.positional[0] : nullptr));
  const Value* test = arguments.positional.size() > kOffset ? &arguments.positional[kOffset] : nullptr;
  const Arguments rest = without_first(arguments, kOffset + (test != nullptr ? 1 : 0));
  return generate(env, input, [&](const Value& item) -> Result<std::optional<Value>> {
    STERNA_TRY(const Value value, path.get(env, item));
    bool accepted = truth(value);
    if (test != nullptr) {
      if (test->text() == nullptr) return fail("a test is named by a string, not {}", type_name(*test));
      STERNA_TRY(accepted, apply_test(env, test->text()->view(), value, rest));
    }
    return accepted == keep ? std::optional<Value>(item) : std::nullopt;
  });
}

// ---- batch, slice ----

Result<std::vector<Value>> batches(Environment& env, const Value& input, const Bound& bound) {
  STERNA_TRY(const std::vector<Value> items, iterate(env.budget, input));
  std::vector<Value> out;
  std::vector<Value> row;
  const auto close_row = [&]() -> Status {
    STERNA_TRY(Value list, make_list(env.budget, std::exchange(row, {})));
    out.push_back(std::move(list));
    return {};
  };
  for (const Value& item : items) {
    STERNA_TRY(const bool full, equal(env.budget, Value::size(row.size()), *bound[0]));
    if (full) STERNA_CHECK(close_row());
    row.push_back(item);
  }
  if (row.empty()) return out;
  if (bound[1] != nullptr && !bound[1]->is_none()) {
    STERNA_TRY(const Order short_of, order(env.budget, Value::size(row.size()), *bound[0], "<"));
    if (short_of == Order::less) {
      STERNA_TRY(const std::int64_t count, bound.integer(0, 0));
      STERNA_CHECK(env.budget.spend(static_cast<std::size_t>(count)));
      row.resize(static_cast<std::size_t>(count), *bound[1]);
    }
  }
  STERNA_CHECK(close_row());
  return out;
}

Result<std::vector<Value>> slices(Environment& env, const Value& input, const Bound& bound) {
  STERNA_TRY(const std::int64_t wanted, bound.integer(0, 0));
  STERNA_TRY(const std::vector<Value> items, iterate(env.budget, input));
  if (wanted == 0) return fail("division by zero");
  std::vector<Value> out;
  if (wanted < 0) return out;
  const auto count = static_cast<std::size_t>(wanted);
  STERNA_CHECK(env.budget.spend(count));
  std::size_t begin = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const bool extra = i < items.size() % count;
    const std::size_t end = begin + items.size() / count + (extra ? 1 : 0);
    std::vector<Value> column(items.begin() + static_cast<std::ptrdiff_t>(begin),
                              items.begin() + static_cast<std::ptrdiff_t>(end));
    if (bound[1] != nullptr && !bound[1]->is_none() && !extra) column.push_back(*bound[1]);
    STERNA_TRY(Value list, make_list(env.budget, std::move(column)));
    out.push_back(std::move(list));
    begin = end;
  }
  return out;
}

Value lazily(Result<std::vector<Value>> items) {
  return items ? make_iterator(*std::move(items)) : make_iterator({}, items.error());
}

Result<Value> filter_batch(Environment& env, const Value& input, const Arguments& arguments) {
  STERNA_TRY(const Bound bound, Bound::bind("batch", arguments, {"linecount", "fill_with"}, 1));
  return lazily(batches(env, input, bound));
}

Result<Value> filter_slice(Environment& env, const Value& input, const Arguments& arguments) {
  STERNA_TRY(const Bound bound, Bound::bind("slice", arguments, {"slices", "fill_with"}, 1));
  return lazily(slices(env, input, bound));
}

constexpr auto kFilters = std::to_array<NamedFilter>({
    {"attr", filter_attr},
    {"batch", filter_batch},
    {"count", filter_length},
    {"d", filter_default},
    {"default", filter_default},
    {"first", filter_first},
    {"items", filter_items},
    {"join", filter_join},
    {"last", filter_last},
    {"length", filter_length},
    {"list", filter_list},
    {"map", filter_map},
    {"reject", filter_select<false, false>},
    {"rejectattr", filter_select<false, true>},
    {"reverse", filter_reverse},
    {"select", filter_select<true, false>},
    {"selectattr", filter_select<true, true>},
    {"slice", filter_slice},
});

}  // namespace

std::span<const NamedFilter> sequence_filters() { return kFilters; }

}  // namespace sterna::runtime::jinja
