#include <algorithm>
#include <array>

#include "runtime/chat_template/arguments.h"
#include "runtime/chat_template/methods.h"
#include "runtime/chat_template/operations.h"

namespace sterna::runtime::jinja {
namespace {

Result<Value> dict_get(Environment& env, const Value& self, const Arguments& arguments) {
  STERNA_TRY(const Bound bound, Bound::bind("get", arguments, {"", ""}, 1));
  STERNA_TRY(const Value* found, find(env.budget, *self.mapping(), *bound[0]));
  if (found != nullptr) return *found;
  return bound[1] == nullptr ? Value(None{}) : *bound[1];
}

template <View::What what>
Result<Value> dict_view(Environment& /*env*/, const Value& self, const Arguments& arguments) {
  STERNA_TRY([[maybe_unused]] const Bound bound, Bound::bind("keys, values or items", arguments, {}));
  auto view = std::make_shared<View>();
  view->mapping = self.shared_mapping();
  view->what = what;
  view->depth = 1 + depth_of(self);
  return Value(Value::ObjectPtr(std::move(view)));
}

Result<Value> any_copy(Environment& /*env*/, const Value& self, const Arguments& arguments) {
  STERNA_TRY([[maybe_unused]] const Bound bound, Bound::bind("copy", arguments, {}));
  return self;
}

Result<Value> sequence_count(Environment& env, const Value& self, const Arguments& arguments) {
  STERNA_TRY(const Bound bound, Bound::bind("count", arguments, {""}, 1));
  STERNA_TRY(const std::vector<Value> items, iterate(env.budget, self));
  std::int64_t count = 0;
  for (const Value& item : items) {
    STERNA_TRY(const bool same, equal(env.budget, item, *bound[0]));
    count += same ? 1 : 0;
  }
  return Value(count);
}

Result<Value> sequence_index(Environment& env, const Value& self, const Arguments& arguments) {
  STERNA_TRY(const Bound bound, Bound::bind("index", arguments, {"", "", ""}, 1));
  STERNA_TRY(const std::vector<Value> items, iterate(env.budget, self));
  STERNA_TRY(const std::int64_t start, bound.integer(1, 0));
  STERNA_TRY(const std::int64_t stop, bound.integer(2, static_cast<std::int64_t>(items.size())));
  STERNA_TRY(const SliceRange range, resolve_slice({Value(start), Value(stop), Value(None{})}, items.size()));
  for (std::size_t i = 0; i < range.count; ++i) {
    const std::size_t at = static_cast<std::size_t>(range.first) + i;
    STERNA_TRY(const bool same, equal(env.budget, items[at], *bound[0]));
    if (same) return Value::size(at);
  }
  return fail("the value is not in the {}", type_name(self));
}

constexpr std::array<std::string_view, 5> kDictMutators = {"clear", "pop", "popitem", "setdefault", "update"};
constexpr std::array<std::string_view, 8> kListMutators = {"append", "clear",  "extend",  "insert",
                                                           "pop",    "remove", "reverse", "sort"};

template <class Names>
bool has(const Names& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

Method container_method(const Value& value, std::string_view name) {
  if (value.mapping() != nullptr) {
    if (name == "get") return dict_get;
    if (name == "items") return dict_view<View::What::items>;
    if (name == "keys") return dict_view<View::What::keys>;
    if (name == "values") return dict_view<View::What::values>;
    return name == "copy" ? any_copy : nullptr;
  }
  const Sequence* sequence = value.sequence();
  if (sequence == nullptr && value.object_as<Range>() == nullptr) return nullptr;
  if (name == "count") return sequence_count;
  if (name == "index") return sequence_index;
  return name == "copy" && sequence != nullptr && !sequence->tuple ? any_copy : nullptr;
}

bool is_mutating_method(const Value& value, std::string_view name) {
  if (value.mapping() != nullptr) return has(kDictMutators, name);
  const Sequence* sequence = value.sequence();
  return sequence != nullptr && !sequence->tuple && has(kListMutators, name);
}

}  // namespace sterna::runtime::jinja
