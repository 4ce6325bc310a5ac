#include <array>

#include "runtime/chat_template/arguments.h"
#include "runtime/chat_template/filters.h"
#include "runtime/chat_template/operations.h"

namespace sterna::runtime::jinja {
namespace {

Result<Value> key_of(Environment& env, const AttributePath& path, const Value& item, bool case_sensitive,
                     const Value* fallback = nullptr) {
  STERNA_TRY(const Value value, path.get(env, item, fallback));
  return case_sensitive ? value : fold_case(env.budget, value);
}

// The paths of "a,b.c": elements are compared by all of them in turn.
Result<std::vector<AttributePath>> parse_paths(Budget& budget, const Value* attribute) {
  std::vector<AttributePath> paths;
  if (attribute == nullptr || attribute->text() == nullptr) {
    STERNA_TRY(AttributePath path, AttributePath::parse(budget, attribute));
    paths.push_back(std::move(path));
    return paths;
  }
  for (Text& part : split(*attribute->text(), ",", -1, false)) {
    const Value text(std::move(part));
    STERNA_TRY(AttributePath path, AttributePath::parse(budget, &text));
    paths.push_back(std::move(path));
  }
  return paths;
}

std::vector<Value> items_of(std::vector<Keyed> keyed) {
  std::vector<Value> items;
  items.reserve(keyed.size());
  for (Keyed& entry : keyed) items.push_back(std::move(entry.item));
  return items;
}

Result<Value> filter_sort(Environment& env, const Value& input, const Arguments& arguments) {
  STERNA_TRY(const Bound bound, Bound::bind("sort", arguments, {"reverse", "case_sensitive", "attribute"}));
  STERNA_TRY(const std::vector<AttributePath> paths, parse_paths(env.budget, bound[2]));
  STERNA_TRY(const std::vector<Value> items, iterate(env.budget, input));
  std::vector<Keyed> keyed;
  for (const Value& item : items) {
    std::vector<Value> keys;
    for (const AttributePath& path : paths) {
      STERNA_TRY(Value key, key_of(env, path, item, bound.truth(1, false)));
      keys.push_back(std::move(key));
    }
    STERNA_TRY(Value key, make_list(env.budget, std::move(keys)));
    keyed.push_back({std::move(key), item});
  }
  STERNA_CHECK(stable_sort(env.budget, keyed, bound.truth(0, false)));
  return make_list(env.budget, items_of(std::move(keyed)));
}

Result<Value> filter_dictsort(Environment& env, const Value& input, const Arguments& arguments) {
  STERNA_TRY(const Bound bound, Bound::bind("dictsort", arguments, {"case_sensitive", "by", "reverse"}));
  STERNA_TRY(const Text* by, bound.text(1));
  const bool by_value = by != nullptr && by->view() == "value";
  if (by != nullptr && !by_value && by->view() != "key") return fail("dictsort sorts by 'key' or 'value'");
  const Mapping* mapping = input.mapping();
  if (mapping == nullptr) return fail("dictsort needs a dict, not {}", type_name(input));
  std::vector<Keyed> keyed;
  for (const auto& [key, value] : mapping->entries) {
    const Value& sorted_by = by_value ? value : key;
    Value folded = sorted_by;
    if (!bound.truth(0, false)) {
      STERNA_TRY(folded, fold_case(env.budget, sorted_by));
    }
    STERNA_TRY(Value pair, make_tuple(env.budget, {key, value}));
    keyed.push_back({std::move(folded), std::move(pair)});
  }
  STERNA_CHECK(stable_sort(env.budget, keyed, bound.truth(2, false)));
  return make_list(env.budget, items_of(std::move(keyed)));
}

Result<Value> make_group(Budget& budget, Value grouper, std::vector<Value> members) {
  STERNA_TRY(Value list, make_list(budget, std::move(members)));
  auto group = std::make_shared<Sequence>();
  group->depth = 1 + std::max(depth_of(grouper), depth_of(list));
  STERNA_CHECK(budget.check_depth(group->depth));
  group->items = {std::move(grouper), std::move(list)};
  group->tuple = true;
  group->group = true;
  return Value(Value::SequencePtr(std::move(group)));
}

Result<Value> filter_groupby(Environment& env, const Value& input, const Arguments& arguments) {
  STERNA_TRY(const Bound bound,
             Bound::bind("groupby", arguments, {"attribute", "default", "case_sensitive"}, 1));
  STERNA_TRY(const AttributePath path, AttributePath::parse(env.budget, bound[0]));
  STERNA_TRY(const std::vector<Value> items, iterate(env.budget, input));
  std::vector<Keyed> keyed;
  for (const Value& item : items) {
    STERNA_TRY(Value key, key_of(env, path, item, bound.truth(2, false), bound[1]));
    keyed.push_back({std::move(key), item});
  }
  STERNA_CHECK(stable_sort(env.budget, keyed, false));
  std::vector<Value> groups;
  for (std::size_t begin = 0; begin < keyed.size();) {
    std::vector<Value> members;
    std::size_t end = begin;
    for (; end < keyed.size(); ++end) {
      STERNA_TRY(const bool same, equal(env.budget, keyed[begin].key, keyed[end].key));
      if (!same) break;
      members.push_back(keyed[end].item);
    }
    // The name of the group is spelt as in its first member.
    STERNA_TRY(Value grouper, path.get(env, members.front(), bound[1]));
    STERNA_TRY(Value group, make_group(env.budget, std::move(grouper), std::move(members)));
    groups.push_back(std::move(group));
    begin = end;
  }
  return make_list(env.budget, std::move(groups));
}

template <bool largest>
Result<Value> filter_extreme(Environment& env, const Value& input, const Arguments& arguments) {
  STERNA_TRY(const Bound bound,
             Bound::bind(largest ? "max" : "min", arguments, {"case_sensitive", "attribute"}));
  STERNA_TRY(const AttributePath path, AttributePath::parse(env.budget, bound[1]));
  STERNA_TRY(const std::vector<Value> items, iterate(env.budget, input));
  if (items.empty())
    return Value::undefined("there is no smallest or largest element, the sequence is empty");
  const bool case_sensitive = bound.truth(0, false);
  std::size_t best = 0;
  STERNA_TRY(Value best_key, key_of(env, path, items[0], case_sensitive));
  for (std::size_t i = 1; i < items.size(); ++i) {
    STERNA_TRY(Value key, key_of(env, path, items[i], case_sensitive));
    STERNA_TRY(const bool better,
               largest ? less(env.budget, best_key, key) : less(env.budget, key, best_key));
    if (!better) continue;
    best = i;
    best_key = std::move(key);
  }
  return items[best];
}

Result<std::vector<Value>> distinct(Environment& env, const Value& input, const Bound& bound) {
  STERNA_TRY(const AttributePath path, AttributePath::parse(env.budget, bound[1]));
  STERNA_TRY(const std::vector<Value> items, iterate(env.budget, input));
  std::vector<Value> seen;
  std::vector<Value> out;
  for (const Value& item : items) {
    STERNA_TRY(Value key, key_of(env, path, item, bound.truth(0, false)));
    STERNA_CHECK(check_hashable(env.budget, key));
    bool known = false;
    for (const Value& earlier : seen) {
      STERNA_TRY(known, equal(env.budget, earlier, key));
      if (known) break;
    }
    if (known) continue;
    seen.push_back(std::move(key));
    out.push_back(item);
  }
  return out;
}

Result<Value> filter_unique(Environment& env, const Value& input, const Arguments& arguments) {
  STERNA_TRY(const Bound bound, Bound::bind("unique", arguments, {"case_sensitive", "attribute"}));
  auto result = distinct(env, input, bound);
  return result ? make_iterator(*std::move(result)) : make_iterator({}, result.error());
}

Result<Value> filter_sum(Environment& env, const Value& input, const Arguments& arguments) {
  STERNA_TRY(const Bound bound, Bound::bind("sum", arguments, {"attribute", "start"}));
  STERNA_TRY(const AttributePath path, AttributePath::parse(env.budget, bound[0]));
  STERNA_TRY(const std::vector<Value> items, iterate(env.budget, input));
  Value total = bound[1] == nullptr ? Value(std::int64_t{0}) : *bound[1];
  if (total.text() != nullptr) return fail("sum adds numbers; use join for strings");
  for (const Value& item : items) {
    STERNA_TRY(const Value value, path.get(env, item));
    STERNA_TRY(total, arithmetic(env.budget, Operator::add, total, value));
  }
  return total;
}

constexpr auto kFilters = std::to_array<NamedFilter>({
    {"dictsort", filter_dictsort},
    {"groupby", filter_groupby},
    {"max", filter_extreme<true>},
    {"min", filter_extreme<false>},
    {"sort", filter_sort},
    {"sum", filter_sum},
    {"unique", filter_unique},
});

}  // namespace

std::span<const NamedFilter> order_filters() { return kFilters; }

}  // namespace sterna::runtime::jinja
