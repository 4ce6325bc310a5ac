#include "runtime/chat_template/value.h"

#include <algorithm>
#include <cmath>

namespace sterna::runtime::jinja {

std::optional<std::int64_t> Value::integer() const {
  if (const bool* b = boolean()) return *b ? 1 : 0;
  if (const std::int64_t* i = plain_integer()) return *i;
  return std::nullopt;
}

double Value::as_double() const {
  if (const double* d = floating()) return *d;
  return static_cast<double>(*integer());  // NOLINT(bugprone-unchecked-optional-access)
}

Error Value::undefined_error() const {
  const auto& message = std::get<Undefined>(data_).message;
  return Error{message == nullptr ? "the value is undefined" : *message};
}

bool Value::same_as(const Value& other) const {
  if (data_.index() != other.data_.index()) return false;
  return std::visit(
      [&](const auto& mine) {
        using T = std::decay_t<decltype(mine)>;
        const T& theirs = *std::get_if<T>(&other.data_);
        if constexpr (std::is_same_v<T, Undefined>) {
          return mine.message == theirs.message;
        } else if constexpr (std::is_same_v<T, None>) {
          return true;
        } else if constexpr (std::is_same_v<T, StringPtr>) {
          // Python shares equal string constants, and no template can rely on it sharing others.
          return mine == theirs || mine->bytes() == theirs->bytes();
        } else {
          return mine == theirs;
        }
      },
      data_);
}

Result<std::optional<Value>> Object::attribute(Environment& /*env*/, const Value& /*self*/,
                                               std::string_view /*name*/) {
  return std::optional<Value>();
}

Result<std::optional<Value>> Namespace::attribute(Environment& /*env*/, const Value& /*self*/,
                                                  std::string_view name) {
  for (const auto& [key, value] : attributes) {
    if (key.view() == name) return std::optional<Value>(value);
  }
  return std::optional<Value>();
}

Result<std::optional<Value>> Range::attribute(Environment& /*env*/, const Value& /*self*/,
                                              std::string_view name) {
  if (name == "start") return std::optional<Value>(Value(start));
  if (name == "stop") return std::optional<Value>(Value(stop));
  if (name == "step") return std::optional<Value>(Value(step));
  return std::optional<Value>();
}

std::size_t Range::length() const {
  if (step > 0 ? start >= stop : start <= stop) return 0;
  const auto low = static_cast<std::uint64_t>(step > 0 ? start : stop);
  const auto high = static_cast<std::uint64_t>(step > 0 ? stop : start);
  const std::uint64_t stride =
      step > 0 ? static_cast<std::uint64_t>(step) : 0 - static_cast<std::uint64_t>(step);
  return (high - low - 1) / stride + 1;
}

namespace {

std::string_view object_type_name(const Object& object) {
  switch (object.kind) {
    case Object::Kind::range:
      return "range";
    case Object::Kind::iterator:
      return "generator";
    case Object::Kind::view:
      switch (static_cast<const View&>(object).what) {
        case View::What::keys:
          return "dict_keys";
        case View::What::values:
          return "dict_values";
        default:
          return "dict_items";
      }
    case Object::Kind::loop:
      return "LoopContext";
    case Object::Kind::name_space:
      return "Namespace";
    case Object::Kind::cycler:
      return "Cycler";
    case Object::Kind::joiner:
      return "Joiner";
    case Object::Kind::macro:
      return "Macro";
    case Object::Kind::method:
      return "method";
    case Object::Kind::function:
      return "function";
  }
  return "object";
}

}  // namespace

std::string_view type_name(const Value& value) {
  if (value.is_undefined()) return "Undefined";
  if (value.is_none()) return "NoneType";
  if (value.boolean() != nullptr) return "bool";
  if (value.plain_integer() != nullptr) return "int";
  if (value.floating() != nullptr) return "float";
  if (value.text() != nullptr) return "str";
  if (const Sequence* s = value.sequence()) return s->tuple ? "tuple" : "list";
  if (value.mapping() != nullptr) return "dict";
  return object_type_name(*value.object());
}

bool truth(const Value& value) {
  if (value.is_undefined() || value.is_none()) return false;
  if (value.is_number()) return value.floating() != nullptr ? *value.floating() != 0.0 : value.integer() != 0;
  if (const Text* t = value.text()) return !t->empty();
  if (const Sequence* s = value.sequence()) return !s->items.empty();
  if (const Mapping* m = value.mapping()) return !m->entries.empty();
  if (const auto* range = value.object_as<Range>()) return range->length() > 0;
  if (const auto* view = value.object_as<View>()) return !view->mapping->entries.empty();
  return true;
}

std::size_t depth_of(const Value& value) {
  if (const Sequence* s = value.sequence()) return s->depth;
  if (const Mapping* m = value.mapping()) return m->depth;
  if (const Object* o = value.object()) return o->depth;
  return 0;
}

Result<Value> make_sequence(Budget& budget, std::vector<Value> items, bool tuple) {
  STERNA_CHECK(budget.spend(1 + items.size() / 4));
  auto sequence = std::make_shared<Sequence>();
  for (const Value& item : items) sequence->depth = std::max(sequence->depth, 1 + depth_of(item));
  STERNA_CHECK(budget.check_depth(sequence->depth));
  sequence->items = std::move(items);
  sequence->tuple = tuple;
  return Value(Value::SequencePtr(std::move(sequence)));
}

Result<Value> make_list(Budget& budget, std::vector<Value> items) {
  return make_sequence(budget, std::move(items), false);
}
Result<Value> make_tuple(Budget& budget, std::vector<Value> items) {
  return make_sequence(budget, std::move(items), true);
}

Result<Value> make_mapping(Budget& budget, std::vector<std::pair<Value, Value>> entries) {
  auto mapping = std::make_shared<Mapping>();
  for (std::pair<Value, Value>& entry : entries) {
    STERNA_TRY(const Value* existing, find(budget, *mapping, entry.first));
    mapping->depth = std::max({mapping->depth, 1 + depth_of(entry.first), 1 + depth_of(entry.second)});
    if (existing != nullptr) {
      *const_cast<Value*>(existing) = std::move(entry.second);  // NOLINT: the mapping is still ours
    } else {
      mapping->entries.push_back(std::move(entry));
    }
  }
  STERNA_CHECK(budget.check_depth(mapping->depth));
  return Value(Value::MappingPtr(std::move(mapping)));
}

Result<Value> make_text(Budget& budget, Text text) {
  STERNA_CHECK(budget.spend_bytes(text.cost()));
  return Value(std::move(text));
}

Value make_method(Value self, Method method) {
  auto bound = std::make_shared<BoundMethod>();
  bound->depth = 1 + depth_of(self);
  bound->self = std::move(self);
  bound->method = method;
  return Value(Value::ObjectPtr(std::move(bound)));
}

Value make_iterator(std::vector<Value> items, std::optional<Error> failure) {
  auto iterator = std::make_shared<Iterator>();
  for (const Value& item : items) iterator->depth = std::max(iterator->depth, 1 + depth_of(item));
  iterator->items = std::move(items);
  iterator->failure = std::move(failure);
  return Value(Value::ObjectPtr(std::move(iterator)));
}

namespace {

// Integers and floats compared by value, as Python does: no rounding of large integers.
Order order_numbers(const Value& a, const Value& b) {
  const auto ia = a.integer();
  const auto ib = b.integer();
  if (ia && ib) return *ia < *ib ? Order::less : (*ia == *ib ? Order::equal : Order::greater);
  const double da = a.as_double();
  const double db = b.as_double();
  if (std::isnan(da) || std::isnan(db)) return Order::unordered;
  if (da != db || (!ia && !ib)) return da < db ? Order::less : (da == db ? Order::equal : Order::greater);
  // An integer that rounds to the float: beyond 2^53 they may still differ.
  const std::int64_t integer = ia ? *ia : *ib;
  const double real = ia ? db : da;
  constexpr double kTwo63 = 9223372036854775808.0;
  Order result = Order::less;
  if (real < kTwo63) {
    const auto whole = static_cast<std::int64_t>(real);
    result = integer < whole ? Order::less : (integer == whole ? Order::equal : Order::greater);
  }
  if (ia || result == Order::equal) return result;
  return result == Order::less ? Order::greater : Order::less;
}

Result<bool> equal_sequences(Budget& budget, const Sequence& a, const Sequence& b) {
  if (a.tuple != b.tuple || a.items.size() != b.items.size()) return false;
  for (std::size_t i = 0; i < a.items.size(); ++i) {
    STERNA_TRY(const bool same, equal(budget, a.items[i], b.items[i]));
    if (!same) return false;
  }
  return true;
}

Result<bool> equal_mappings(Budget& budget, const Mapping& a, const Mapping& b) {
  if (a.entries.size() != b.entries.size()) return false;
  for (const auto& [key, value] : a.entries) {
    STERNA_TRY(const Value* other, find(budget, b, key));
    if (other == nullptr) return false;
    STERNA_TRY(const bool same, equal(budget, value, *other));
    if (!same) return false;
  }
  return true;
}

bool equal_ranges(const Range& a, const Range& b) {
  const std::size_t length = a.length();
  return length == b.length() && (length == 0 || (a.start == b.start && (length == 1 || a.step == b.step)));
}

}  // namespace

Result<bool> equal(Budget& budget, const Value& a, const Value& b) {
  STERNA_CHECK(budget.spend(1));
  if (a.is_number() && b.is_number()) return order_numbers(a, b) == Order::equal;
  if (a.text() != nullptr && b.text() != nullptr) {
    STERNA_CHECK(budget.spend_search(a.text()->size(), 0));
    return a.text()->bytes() == b.text()->bytes();
  }
  if (a.is_undefined() || a.is_none()) return a.is_undefined() ? b.is_undefined() : b.is_none();
  if (a.sequence() != nullptr && b.sequence() != nullptr)
    return equal_sequences(budget, *a.sequence(), *b.sequence());
  if (a.mapping() != nullptr && b.mapping() != nullptr)
    return equal_mappings(budget, *a.mapping(), *b.mapping());
  const auto* left = a.object_as<Range>();
  const auto* right = b.object_as<Range>();
  if (left != nullptr && right != nullptr) return equal_ranges(*left, *right);
  return a.object() != nullptr && a.object() == b.object();
}

Result<Order> order(Budget& budget, const Value& a, const Value& b, std::string_view operation) {
  STERNA_CHECK(budget.spend(1));
  if (a.is_undefined()) return a.undefined_error();
  if (b.is_undefined()) return b.undefined_error();
  if (a.is_number() && b.is_number()) return order_numbers(a, b);
  if (a.text() != nullptr && b.text() != nullptr) {
    // UTF-8 sorts as its code points do.
    STERNA_CHECK(budget.spend_search(a.text()->size(), 0));
    const int compared = a.text()->bytes().compare(b.text()->bytes());
    return compared < 0 ? Order::less : (compared == 0 ? Order::equal : Order::greater);
  }
  const Sequence* left = a.sequence();
  const Sequence* right = b.sequence();
  if (left == nullptr || right == nullptr || left->tuple != right->tuple) {
    return fail("'{}' is not supported between '{}' and '{}'", operation, type_name(a), type_name(b));
  }
  for (std::size_t i = 0; i < std::min(left->items.size(), right->items.size()); ++i) {
    STERNA_TRY(const bool same, equal(budget, left->items[i], right->items[i]));
    if (!same) return order(budget, left->items[i], right->items[i], operation);
  }
  if (left->items.size() == right->items.size()) return Order::equal;
  return left->items.size() < right->items.size() ? Order::less : Order::greater;
}

Result<bool> less(Budget& budget, const Value& a, const Value& b) {
  STERNA_TRY(const Order result, order(budget, a, b, "<"));
  return result == Order::less;
}

Status check_hashable(Budget& budget, const Value& key) {
  STERNA_CHECK(budget.spend(1));
  const Sequence* sequence = key.sequence();
  const auto* view = key.object_as<View>();
  const bool mutable_view = view != nullptr && view->what != View::What::values;
  if (key.mapping() != nullptr || mutable_view || (sequence != nullptr && !sequence->tuple)) {
    return fail("a {} cannot be the key of a dict", type_name(key));
  }
  if (sequence == nullptr) return {};
  for (const Value& item : sequence->items) STERNA_CHECK(check_hashable(budget, item));
  return {};
}

Result<const Value*> find(Budget& budget, const Mapping& mapping, const Value& key) {
  STERNA_CHECK(check_hashable(budget, key));
  STERNA_CHECK(budget.spend(1 + mapping.entries.size() / 32));
  if (const Text* text = key.text()) {
    STERNA_CHECK(budget.spend_search(text->size(), 0));
    return find(mapping, text->view());
  }
  for (const auto& [candidate, value] : mapping.entries) {
    if (candidate.text() != nullptr) continue;
    STERNA_TRY(const bool same, equal(budget, candidate, key));
    if (same) return &value;
  }
  return static_cast<const Value*>(nullptr);
}

const Value* find(const Mapping& mapping, std::string_view key) {
  for (const auto& [candidate, value] : mapping.entries) {
    if (const Text* text = candidate.text(); text != nullptr && text->view() == key) return &value;
  }
  return nullptr;
}

}  // namespace sterna::runtime::jinja
