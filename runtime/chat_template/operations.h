// The operators and protocols of Python's values: arithmetic, iteration, subscripts, sorting.
#pragma once

#include <string_view>
#include <vector>

#include "runtime/chat_template/value.h"

namespace sterna::runtime::jinja {

enum class Operator {
  add,
  subtract,
  multiply,
  divide,
  floor_divide,
  modulo,
  power,
  equal,
  not_equal,
  less,
  less_equal,
  greater,
  greater_equal,
  in,
  not_in,
};

[[nodiscard]] std::string_view operator_symbol(Operator op);

// Errors: types that do not support the operation, integers beyond 64 bits, division by zero, limits.
Result<Value> arithmetic(Budget& budget, Operator op, const Value& left, const Value& right);
Result<Value> negate(const Value& value);
Result<bool> compare(Budget& budget, Operator op, const Value& left, const Value& right);
Result<bool> contains(Budget& budget, const Value& container, const Value& item);

// The elements in order: characters, keys ... An iterator is used up by it. Error: not iterable.
Result<std::vector<Value>> iterate(Budget& budget, const Value& value);
Result<std::vector<Value>> view_items(Budget& budget, const View& view);
// reversed(): fails for what has no order from behind, iterators among them.
Result<std::vector<Value>> iterate_backwards(Budget& budget, const Value& value);
// len(); nothing for what has none.
[[nodiscard]] std::optional<std::size_t> length(const Value& value);

// value[index] as Python; nothing where Python raises a TypeError or LookupError.
Result<std::optional<Value>> subscript(Budget& budget, const Value& value, const Value& index);
// value[start:stop:step]; undefined or none stands for an absent bound.
struct SliceBounds {
  Value start = None{};
  Value stop = None{};
  Value step = None{};
};
Result<Value> slice(Budget& budget, const Value& value, const SliceBounds& bounds);
// The slice as positions of a sequence of `length` elements: first, first + step, ... `count` of them.
struct SliceRange {
  std::int64_t first = 0;
  std::int64_t stop = 0;
  std::int64_t step = 1;
  std::size_t count = 0;
};
Result<SliceRange> resolve_slice(const SliceBounds& bounds, std::size_t length);

struct Keyed {
  Value key;
  Value item;
};
// By key; equal keys keep their order in either direction. Error: keys without an order between them.
Status stable_sort(Budget& budget, std::vector<Keyed>& items, bool descending);

}  // namespace sterna::runtime::jinja
