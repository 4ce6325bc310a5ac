#include "runtime/chat_template/operations.h"

#include <algorithm>

#include "runtime/chat_template/unicode.h"

namespace sterna::runtime::jinja {

Result<bool> compare(Budget& budget, Operator op, const Value& left, const Value& right) {
  if (op == Operator::in || op == Operator::not_in) {
    STERNA_TRY(const bool found, contains(budget, right, left));
    return found == (op == Operator::in);
  }
  if (op == Operator::equal || op == Operator::not_equal) {
    STERNA_TRY(const bool same, equal(budget, left, right));
    return same == (op == Operator::equal);
  }
  STERNA_TRY(const Order result, order(budget, left, right, operator_symbol(op)));
  switch (op) {
    case Operator::less:
      return result == Order::less;
    case Operator::less_equal:
      return result == Order::less || result == Order::equal;
    case Operator::greater:
      return result == Order::greater;
    default:
      return result == Order::greater || result == Order::equal;
  }
}

Result<bool> contains(Budget& budget, const Value& container, const Value& item) {
  if (const Text* text = container.text()) {
    if (item.text() == nullptr)
      return fail("'in <string>' needs a string on the left, not {}", type_name(item));
    STERNA_CHECK(budget.spend_search(text->size(), item.text()->size()));
    return text->view().find(item.text()->view()) != std::string_view::npos;
  }
  const auto* view = container.object_as<View>();
  if (container.mapping() != nullptr || (view != nullptr && view->what == View::What::keys)) {
    const Mapping& mapping = view != nullptr ? *view->mapping : *container.mapping();
    STERNA_TRY(const Value* found, find(budget, mapping, item));
    return found != nullptr;
  }
  STERNA_TRY(const std::vector<Value> items, iterate(budget, container));
  for (const Value& candidate : items) {
    STERNA_TRY(const bool same, equal(budget, candidate, item));
    if (same) return true;
  }
  return false;
}

Result<std::vector<Value>> view_items(Budget& budget, const View& view) {
  std::vector<Value> items;
  STERNA_CHECK(budget.spend(1 + view.mapping->entries.size() / 4));
  for (const auto& [key, value] : view.mapping->entries) {
    switch (view.what) {
      case View::What::keys:
        items.push_back(key);
        break;
      case View::What::values:
        items.push_back(value);
        break;
      case View::What::items: {
        STERNA_TRY(Value pair, make_tuple(budget, {key, value}));
        items.push_back(std::move(pair));
      }
    }
  }
  return items;
}

namespace {

Result<std::vector<Value>> characters(Budget& budget, const Text& text) {
  STERNA_CHECK(budget.spend(text.size()));
  const std::vector<std::size_t> offsets = code_point_offsets(text.view());
  std::vector<Value> items;
  items.reserve(offsets.size() - 1);
  for (std::size_t i = 0; i + 1 < offsets.size(); ++i)
    items.emplace_back(text.slice(offsets[i], offsets[i + 1]));
  return items;
}

Result<std::vector<Value>> drain(Iterator& iterator) {
  std::vector<Value> items(iterator.items.begin() + static_cast<std::ptrdiff_t>(iterator.next),
                           iterator.items.end());
  iterator.next = iterator.items.size();
  if (iterator.failure) return *iterator.failure;
  return items;
}

}  // namespace

Result<std::vector<Value>> iterate(Budget& budget, const Value& value) {
  STERNA_CHECK(budget.spend(1));
  if (const Sequence* sequence = value.sequence()) {
    STERNA_CHECK(budget.spend(sequence->items.size() / 4));
    return sequence->items;
  }
  if (const Text* text = value.text()) return characters(budget, *text);
  if (const Mapping* mapping = value.mapping()) {
    STERNA_CHECK(budget.spend(mapping->entries.size() / 4));
    std::vector<Value> keys;
    for (const auto& entry : mapping->entries) keys.push_back(entry.first);
    return keys;
  }
  if (const auto* range = value.object_as<Range>()) {
    STERNA_CHECK(budget.spend(range->length() / 4));
    std::vector<Value> items;
    for (std::size_t i = 0; i < range->length(); ++i) items.push_back(range->at(i));
    return items;
  }
  if (const auto* view = value.object_as<View>()) return view_items(budget, *view);
  if (auto* iterator = value.object_as<Iterator>()) {
    STERNA_CHECK(budget.spend(iterator->items.size() / 4));
    return drain(*iterator);
  }
  if (value.is_undefined()) return std::vector<Value>();
  return fail("a value of type {} cannot be iterated over", type_name(value));
}

Result<std::vector<Value>> iterate_backwards(Budget& budget, const Value& value) {
  if (value.object_as<Iterator>() != nullptr)
    return fail("an iterator cannot be walked backwards; make it a list first");
  STERNA_TRY(std::vector<Value> items, iterate(budget, value));
  std::reverse(items.begin(), items.end());
  return items;
}

std::optional<std::size_t> length(const Value& value) {
  if (const Text* text = value.text()) return count_code_points(text->view());
  if (const Sequence* sequence = value.sequence()) return sequence->items.size();
  if (const Mapping* mapping = value.mapping()) return mapping->entries.size();
  if (const auto* range = value.object_as<Range>()) return range->length();
  if (const auto* view = value.object_as<View>()) return view->mapping->entries.size();
  if (value.is_undefined()) return 0;
  return std::nullopt;
}

namespace {

// Position of a Python index, which counts from the end when negative; nothing when it is out of range.
std::optional<std::size_t> position_of(std::int64_t index, std::size_t size) {
  const auto length = static_cast<std::int64_t>(size);
  if (index < -length || index >= length) return std::nullopt;
  return static_cast<std::size_t>(index < 0 ? index + length : index);
}

}  // namespace

Result<std::optional<Value>> subscript(Budget& budget, const Value& value, const Value& index) {
  using Found = std::optional<Value>;
  if (const Mapping* mapping = value.mapping()) {
    if (auto hashable = check_hashable(budget, index); !hashable) return Found();
    STERNA_TRY(const Value* found, find(budget, *mapping, index));
    return found == nullptr ? Found() : Found(*found);
  }
  const auto integer = index.integer();
  if (!integer) return Found();
  if (const Sequence* sequence = value.sequence()) {
    const auto position = position_of(*integer, sequence->items.size());
    return position ? Found(sequence->items[*position]) : Found();
  }
  if (const auto* range = value.object_as<Range>()) {
    const auto position = position_of(*integer, range->length());
    return position ? Found(range->at(*position)) : Found();
  }
  if (const Text* text = value.text()) {
    STERNA_CHECK(budget.spend_search(text->size(), 0));
    const auto position = position_of(*integer, count_code_points(text->view()));
    if (!position) return Found();
    std::size_t end = byte_offset(text->view(), *position);
    const std::size_t begin = end;
    decode(text->view(), end);
    return Found(Value(text->slice(begin, end)));
  }
  return Found();
}

namespace {

// A slice bound: present and clipped to [low, high], or `otherwise`.
Result<std::int64_t> slice_bound(const Value& bound, std::int64_t length, std::int64_t low, std::int64_t high,
                                 std::int64_t otherwise) {
  if (bound.is_none()) return otherwise;
  const auto integer = bound.integer();
  if (!integer) return fail("a slice needs integers, not {}", type_name(bound));
  const std::int64_t position = *integer < 0 ? *integer + length : *integer;
  return std::clamp(position, low, high);
}

}  // namespace

Result<SliceRange> resolve_slice(const SliceBounds& bounds, std::size_t size) {
  const auto length = static_cast<std::int64_t>(size);
  SliceRange result;
  if (!bounds.step.is_none()) {
    const auto step = bounds.step.integer();
    if (!step) return fail("a slice needs integers, not {}", type_name(bounds.step));
    if (*step == 0) return fail("the step of a slice cannot be zero");
    // Anything beyond the length acts alike, and the clip keeps the sums below within 64 bits.
    result.step = std::clamp(*step, -length - 1, length + 1);
  }
  const bool forward = result.step > 0;
  const std::int64_t low = forward ? 0 : -1;
  const std::int64_t high = forward ? length : length - 1;
  STERNA_TRY(const std::int64_t start, slice_bound(bounds.start, length, low, high, forward ? low : high));
  STERNA_TRY(const std::int64_t stop, slice_bound(bounds.stop, length, low, high, forward ? high : low));
  const std::int64_t span = forward ? stop - start : start - stop;
  const std::int64_t stride = forward ? result.step : -result.step;
  result.first = start;
  result.stop = stop;
  result.count = span > 0 ? static_cast<std::size_t>((span - 1) / stride + 1) : 0;
  return result;
}

namespace {

Result<Value> slice_text(Budget& budget, const Text& text, const SliceBounds& bounds) {
  STERNA_CHECK(budget.spend_bytes(text.cost()));
  const std::size_t length = count_code_points(text.view());
  STERNA_TRY(const SliceRange range, resolve_slice(bounds, length));
  if (range.count == 0) return Value(Text());
  const auto first = static_cast<std::size_t>(range.first);
  if (range.step == 1) {
    const std::size_t begin = byte_offset(text.view(), first);
    return Value(text.slice(begin, begin + byte_offset(text.view().substr(begin), range.count)));
  }
  STERNA_CHECK(budget.spend_bytes(text.size() * sizeof(std::size_t)));
  const std::vector<std::size_t> offsets = code_point_offsets(text.view());
  Text result;
  for (std::size_t i = 0; i < range.count; ++i) {
    const auto at = static_cast<std::size_t>(range.first + static_cast<std::int64_t>(i) * range.step);
    result.append_slice(text, offsets[at], offsets[at + 1]);
  }
  return Value(std::move(result));
}

Value slice_range(const Range& range, const SliceRange& part) {
  auto result = std::make_shared<Range>();
  result->start = range.start + part.first * range.step;
  result->step = range.step * part.step;
  result->stop = range.start + part.stop * range.step;
  return Value(Value::ObjectPtr(std::move(result)));
}

}  // namespace

Result<Value> slice(Budget& budget, const Value& value, const SliceBounds& bounds) {
  if (value.is_undefined()) return value.undefined_error();
  if (const Text* text = value.text()) return slice_text(budget, *text, bounds);
  const Sequence* sequence = value.sequence();
  const auto* range = value.object_as<Range>();
  if (sequence == nullptr && range == nullptr)
    return fail("a value of type {} cannot be sliced", type_name(value));
  STERNA_TRY(const SliceRange part,
             resolve_slice(bounds, sequence != nullptr ? sequence->items.size() : range->length()));
  if (range != nullptr) return slice_range(*range, part);
  std::vector<Value> items;
  for (std::size_t i = 0; i < part.count; ++i) {
    items.push_back(
        sequence->items[static_cast<std::size_t>(part.first + static_cast<std::int64_t>(i) * part.step)]);
  }
  return make_sequence(budget, std::move(items), sequence->tuple);
}

namespace {

// Merges the sorted halves [begin, middle) and [middle, end) of `items` through `spare`.
Status merge(Budget& budget, std::vector<Keyed>& items, std::vector<Keyed>& spare, std::size_t begin,
             std::size_t middle, std::size_t end, bool descending) {
  std::size_t left = begin;
  std::size_t right = middle;
  for (std::size_t out = begin; out < end; ++out) {
    bool take_right = left == middle;
    if (left < middle && right < end) {
      const Value& a = descending ? items[left].key : items[right].key;
      const Value& b = descending ? items[right].key : items[left].key;
      STERNA_TRY(take_right, less(budget, a, b));
    }
    spare[out] = take_right ? items[right++] : items[left++];
  }
  std::move(spare.begin() + static_cast<std::ptrdiff_t>(begin),
            spare.begin() + static_cast<std::ptrdiff_t>(end),
            items.begin() + static_cast<std::ptrdiff_t>(begin));
  return {};
}

}  // namespace

// Not std::stable_sort: a comparison may fail, and NaN has no consistent order, which std's sorts do not
// survive.
Status stable_sort(Budget& budget, std::vector<Keyed>& items, bool descending) {
  std::vector<Keyed> spare(items.size());
  for (std::size_t width = 1; width < items.size(); width *= 2) {
    for (std::size_t begin = 0; begin + width < items.size(); begin += 2 * width) {
      const std::size_t end = std::min(begin + 2 * width, items.size());
      STERNA_CHECK(merge(budget, items, spare, begin, begin + width, end, descending));
    }
  }
  return {};
}

}  // namespace sterna::runtime::jinja
