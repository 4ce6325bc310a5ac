#include <algorithm>
#include <array>
#include <limits>

#include "runtime/chat_template/arguments.h"
#include "runtime/chat_template/formatting.h"
#include "runtime/chat_template/methods.h"
#include "runtime/chat_template/operations.h"
#include "runtime/chat_template/unicode.h"

namespace sterna::runtime::jinja {
namespace {

template <Side side>
Result<Value> str_strip(Environment& env, const Value& self, const Arguments& arguments) {
  STERNA_TRY(const Bound bound, Bound::bind("strip", arguments, {""}));
  STERNA_TRY(const Text* characters, bound.text(0));
  STERNA_CHECK(env.budget.spend_characters(characters == nullptr ? 0 : characters->size()));
  return make_text(env.budget, strip(*self.text(), characters, side));
}

template <CaseChange change>
Result<Value> str_case(Environment& env, const Value& self, const Arguments& arguments) {
  STERNA_TRY([[maybe_unused]] const Bound bound, Bound::bind("a change of case", arguments, {}));
  STERNA_CHECK(env.budget.spend_bytes(3 * self.text()->cost()));  // a letter may grow to three
  STERNA_CHECK(env.budget.spend_characters(self.text()->size()));
  return Value(change_case(*self.text(), change));
}

Result<Value> list_of(Budget& budget, std::vector<Text> parts) {
  std::vector<Value> items;
  items.reserve(parts.size());
  for (Text& part : parts) items.emplace_back(std::move(part));
  STERNA_CHECK(budget.spend(items.size()));
  return make_list(budget, std::move(items));
}

template <bool from_right>
Result<Value> str_split(Environment& env, const Value& self, const Arguments& arguments) {
  STERNA_TRY(const Bound bound, Bound::bind("split", arguments, {"sep", "maxsplit"}));
  STERNA_TRY(const Text* separator, bound.text(0));
  STERNA_TRY(const std::int64_t limit, bound.integer(1, -1));
  const Text& text = *self.text();
  STERNA_CHECK(env.budget.spend_bytes(text.cost()));
  if (separator == nullptr) return list_of(env.budget, split_white_space(text, limit, from_right));
  if (separator->empty()) return fail("split needs a separator that is not empty");
  STERNA_CHECK(env.budget.spend_search(text.size(), separator->size()));
  return list_of(env.budget, split(text, separator->view(), limit, from_right));
}

Result<Value> str_splitlines(Environment& env, const Value& self, const Arguments& arguments) {
  STERNA_TRY(const Bound bound, Bound::bind("splitlines", arguments, {"keepends"}));
  STERNA_CHECK(env.budget.spend_bytes(self.text()->cost()));
  return list_of(env.budget, split_lines(*self.text(), bound.truth(0, false)));
}

// A stretch of a string for find, count, startswith ...: bytes [begin, end), and the number of code points
// before it.
struct Stretch {
  std::size_t begin = 0;
  std::size_t end = 0;
  bool valid = true;  // false when start lies behind end, where not even an empty string is found
};

Result<Stretch> stretch_of(Budget& budget, const Text& text, const Bound& bound, std::size_t start_index) {
  STERNA_CHECK(budget.spend_search(text.size(), 0));
  const auto length = static_cast<std::int64_t>(count_code_points(text.view()));
  STERNA_TRY(std::int64_t start, bound.integer(start_index, 0));
  STERNA_TRY(std::int64_t stop, bound.integer(start_index + 1, length));
  if (start < 0) start = std::max<std::int64_t>(start + length, 0);
  if (stop < 0) stop = std::max<std::int64_t>(stop + length, 0);
  stop = std::min(stop, length);
  if (start > stop) return Stretch{0, 0, false};
  Stretch result;
  result.begin = byte_offset(text.view(), static_cast<std::size_t>(start));
  result.end = byte_offset(text.view(), static_cast<std::size_t>(stop));
  return result;
}

enum class Search { find, rfind, index, rindex };

template <Search search>
Result<Value> str_find(Environment& env, const Value& self, const Arguments& arguments) {
  STERNA_TRY(const Bound bound, Bound::bind("find", arguments, {"", "", ""}, 1));
  STERNA_TRY(const Text* needle, bound.text(0));
  if (needle == nullptr) return fail("find needs a string, not none");
  const Text& text = *self.text();
  STERNA_CHECK(env.budget.spend_search(text.size(), needle->size()));
  STERNA_TRY(const Stretch stretch, stretch_of(env.budget, text, bound, 1));
  const std::string_view bytes = text.view().substr(0, stretch.end);
  constexpr bool kFromRight = search == Search::rfind || search == Search::rindex;
  std::size_t found = std::string_view::npos;
  if (stretch.valid)
    found = kFromRight ? bytes.rfind(needle->view()) : bytes.find(needle->view(), stretch.begin);
  if (found != std::string_view::npos && found >= stretch.begin)
    return Value::size(count_code_points(bytes.substr(0, found)));
  if (search == Search::index || search == Search::rindex) return fail("the substring was not found");
  return Value(std::int64_t{-1});
}

Result<Value> str_count(Environment& env, const Value& self, const Arguments& arguments) {
  STERNA_TRY(const Bound bound, Bound::bind("count", arguments, {"", "", ""}, 1));
  STERNA_TRY(const Text* needle, bound.text(0));
  if (needle == nullptr) return fail("count needs a string, not none");
  const Text& text = *self.text();
  STERNA_CHECK(env.budget.spend_search(text.size(), needle->size()));
  STERNA_TRY(const Stretch stretch, stretch_of(env.budget, text, bound, 1));
  if (!stretch.valid) return Value(std::int64_t{0});
  const std::string_view bytes = text.view().substr(stretch.begin, stretch.end - stretch.begin);
  if (needle->empty()) return Value::size(count_code_points(bytes) + 1);
  std::size_t count = 0;
  for (std::size_t at = bytes.find(needle->view()); at != std::string_view::npos;
       at = bytes.find(needle->view(), at + needle->size())) {
    ++count;
  }
  return Value::size(count);
}

template <bool at_start>
Result<Value> str_affix(Environment& env, const Value& self, const Arguments& arguments) {
  constexpr std::string_view kName = at_start ? "startswith" : "endswith";
  STERNA_TRY(const Bound bound, Bound::bind(kName, arguments, {"", "", ""}, 1));
  STERNA_TRY(const Stretch stretch, stretch_of(env.budget, *self.text(), bound, 1));
  const std::string_view bytes = self.text()->view().substr(stretch.begin, stretch.end - stretch.begin);
  const Sequence* tuple = bound[0]->sequence();
  const std::vector<Value> candidates =
      tuple != nullptr && tuple->tuple ? tuple->items : std::vector<Value>{*bound[0]};
  for (const Value& candidate : candidates) {
    const Text* affix = candidate.text();
    if (affix == nullptr)
      return fail("{} needs a string or a tuple of strings, not {}", kName, type_name(candidate));
    STERNA_CHECK(env.budget.spend_search(affix->size(), 0));
    const bool matches = at_start ? bytes.starts_with(affix->view()) : bytes.ends_with(affix->view());
    if (stretch.valid && matches) return Value(true);
  }
  return Value(false);
}

template <bool prefix>
Result<Value> str_remove_affix(Environment& env, const Value& self, const Arguments& arguments) {
  STERNA_TRY(const Bound bound, Bound::bind("removeprefix or removesuffix", arguments, {""}, 1));
  STERNA_TRY(const Text* affix, bound.text(0));
  if (affix == nullptr) return fail("removeprefix and removesuffix need a string, not none");
  const Text& text = *self.text();
  STERNA_CHECK(env.budget.spend_search(affix->size(), 0));
  if (prefix && text.view().starts_with(affix->view())) {
    return make_text(env.budget, text.slice(affix->size(), text.size()));
  }
  if (!prefix && text.view().ends_with(affix->view())) {
    return make_text(env.budget, text.slice(0, text.size() - affix->size()));
  }
  return self;
}

Result<Value> str_replace(Environment& env, const Value& self, const Arguments& arguments) {
  STERNA_TRY(const Bound bound, Bound::bind("replace", arguments, {"", "", ""}, 2));
  STERNA_TRY(const Text* from, bound.text(0));
  STERNA_TRY(const Text* to, bound.text(1));
  if (from == nullptr || to == nullptr) return fail("replace needs two strings");
  STERNA_TRY(const std::int64_t count, bound.integer(2, -1));
  STERNA_TRY(Text result, replace(env.budget, *self.text(), *from, *to, count));
  return Value(std::move(result));
}

Result<Value> str_join(Environment& env, const Value& self, const Arguments& arguments) {
  STERNA_TRY(const Bound bound, Bound::bind("join", arguments, {""}, 1));
  STERNA_TRY(const std::vector<Value> items, iterate(env.budget, *bound[0]));
  std::vector<Text> parts;
  for (const Value& item : items) {
    if (item.text() == nullptr)
      return fail("join needs strings, but element {} is of type {}", parts.size(), type_name(item));
    STERNA_CHECK(env.budget.spend_bytes(item.text()->cost()));
    parts.push_back(*item.text());
  }
  STERNA_TRY(Text result, join(env.budget, *self.text(), parts));
  return Value(std::move(result));
}

enum class Alignment { center, left, right };

template <Alignment alignment>
Result<Value> str_justify(Environment& env, const Value& self, const Arguments& arguments) {
  STERNA_TRY(const Bound bound, Bound::bind("center, ljust or rjust", arguments, {"", ""}, 1));
  STERNA_TRY(const std::int64_t width, bound.integer(0, 0));
  STERNA_TRY(const Text* fill, bound.text(1));
  if (fill != nullptr && count_code_points(fill->view()) != 1) return fail("the fill must be one character");
  STERNA_CHECK(env.budget.spend_search(self.text()->size(), 0));
  const auto length = static_cast<std::int64_t>(count_code_points(self.text()->view()));
  if (width <= length) return self;
  const std::int64_t missing = width - length;
  std::int64_t left = alignment == Alignment::right ? missing : 0;
  if (alignment == Alignment::center) left = missing / 2 + (missing & width & 1);
  const Text with = fill == nullptr ? Text(" ") : *fill;
  STERNA_TRY(Text result, pad(env.budget, *self.text(), static_cast<std::size_t>(left),
                              static_cast<std::size_t>(missing - left), with));
  return Value(std::move(result));
}

Result<Value> str_zfill(Environment& env, const Value& self, const Arguments& arguments) {
  STERNA_TRY(const Bound bound, Bound::bind("zfill", arguments, {""}, 1));
  STERNA_TRY(const std::int64_t width, bound.integer(0, 0));
  const Text& text = *self.text();
  STERNA_CHECK(env.budget.spend_search(text.size(), 0));
  const auto length = static_cast<std::int64_t>(count_code_points(text.view()));
  if (width <= length) return self;
  const std::size_t sign = text.view().starts_with('+') || text.view().starts_with('-') ? 1 : 0;
  STERNA_TRY(const Text padded, pad(env.budget, text.slice(sign, text.size()),
                                    static_cast<std::size_t>(width - length), 0, Text("0")));
  Text result = text.slice(0, sign);
  result.append(padded);
  return Value(std::move(result));
}

template <bool from_right>
Result<Value> str_partition(Environment& env, const Value& self, const Arguments& arguments) {
  STERNA_TRY(const Bound bound, Bound::bind("partition", arguments, {""}, 1));
  STERNA_TRY(const Text* separator, bound.text(0));
  if (separator == nullptr || separator->empty())
    return fail("partition needs a separator that is not empty");
  const Text& text = *self.text();
  STERNA_CHECK(env.budget.spend_search(text.size(), separator->size()));
  STERNA_CHECK(env.budget.spend_bytes(text.cost()));
  const std::size_t found =
      from_right ? text.view().rfind(separator->view()) : text.view().find(separator->view());
  if (found == std::string_view::npos) {
    const Value empty{Text()};
    return from_right ? make_tuple(env.budget, {empty, empty, self})
                      : make_tuple(env.budget, {self, empty, empty});
  }
  const std::size_t after = found + separator->size();
  return make_tuple(env.budget, {Value(text.slice(0, found)), Value(text.slice(found, after)),
                                 Value(text.slice(after, text.size()))});
}

Result<Value> str_format(Environment& env, const Value& self, const Arguments& arguments) {
  STERNA_TRY(Text result, format_braces(env, *self.text(), arguments));
  return Value(std::move(result));
}

Result<Value> str_format_map(Environment& env, const Value& self, const Arguments& arguments) {
  STERNA_TRY(const Bound bound, Bound::bind("format_map", arguments, {""}, 1));
  if (bound[0]->mapping() == nullptr) return fail("format_map needs a dict, not {}", type_name(*bound[0]));
  Arguments values;
  for (const auto& [key, value] : bound[0]->mapping()->entries) {
    if (key.text() != nullptr) values.named.emplace_back(key.text()->bytes(), value);
  }
  return str_format(env, self, values);
}

// All characters are of the class, and there is at least one.
template <bool (*accepts)(char32_t)>
Result<Value> str_all(Environment& env, const Value& self, const Arguments& arguments) {
  STERNA_TRY([[maybe_unused]] const Bound bound, Bound::bind("a test of characters", arguments, {}));
  const std::string_view text = self.text()->view();
  STERNA_CHECK(env.budget.spend_characters(text.size()));
  for (std::size_t at = 0; at < text.size();) {
    if (!accepts(decode(text, at))) return Value(false);
  }
  return Value(!text.empty());
}

bool is_alnum(char32_t c) { return c != U'_' && is_word(c); }
bool is_ascii(char32_t c) { return c < 0x80; }

Result<Value> str_isascii(Environment& env, const Value& self, const Arguments& arguments) {
  if (self.text()->empty() && arguments.positional.empty()) return Value(true);
  return str_all<is_ascii>(env, self, arguments);
}

// isupper and islower: some cased character, and none of the other cases.
template <bool (*wanted)(char32_t)>
Result<Value> str_cased(Environment& env, const Value& self, const Arguments& arguments) {
  STERNA_TRY([[maybe_unused]] const Bound bound, Bound::bind("a test of case", arguments, {}));
  const std::string_view text = self.text()->view();
  STERNA_CHECK(env.budget.spend_characters(text.size()));
  bool any = false;
  for (std::size_t at = 0; at < text.size();) {
    const char32_t c = decode(text, at);
    if (is_cased(c) && !wanted(c)) return Value(false);
    any = any || wanted(c);
  }
  return Value(any);
}

Result<Value> str_istitle(Environment& env, const Value& self, const Arguments& arguments) {
  STERNA_TRY([[maybe_unused]] const Bound bound, Bound::bind("istitle", arguments, {}));
  const std::string_view text = self.text()->view();
  STERNA_CHECK(env.budget.spend_characters(text.size()));
  bool any = false;
  bool inside = false;
  for (std::size_t at = 0; at < text.size();) {
    const char32_t c = decode(text, at);
    if (inside ? (is_upper(c) || is_title(c)) : is_lower(c)) return Value(false);
    inside = is_cased(c);
    any = any || inside;
  }
  return Value(any);
}

struct NamedMethod {
  std::string_view name;
  Method method;
};

constexpr auto kMethods = std::to_array<NamedMethod>({
    {"capitalize", str_case<CaseChange::capitalize>},
    {"center", str_justify<Alignment::center>},
    {"count", str_count},
    {"endswith", str_affix<false>},
    {"find", str_find<Search::find>},
    {"format", str_format},
    {"format_map", str_format_map},
    {"index", str_find<Search::index>},
    {"isalnum", str_all<is_alnum>},
    {"isalpha", str_all<is_alpha>},
    {"isascii", str_isascii},
    {"isdecimal", str_all<is_decimal>},
    {"isdigit", str_all<is_digit>},
    {"islower", str_cased<is_lower>},
    {"isspace", str_all<is_space>},
    {"istitle", str_istitle},
    {"isupper", str_cased<is_upper>},
    {"join", str_join},
    {"ljust", str_justify<Alignment::left>},
    {"lower", str_case<CaseChange::lower>},
    {"lstrip", str_strip<Side::left>},
    {"partition", str_partition<false>},
    {"removeprefix", str_remove_affix<true>},
    {"removesuffix", str_remove_affix<false>},
    {"replace", str_replace},
    {"rfind", str_find<Search::rfind>},
    {"rindex", str_find<Search::rindex>},
    {"rjust", str_justify<Alignment::right>},
    {"rpartition", str_partition<true>},
    {"rsplit", str_split<true>},
    {"rstrip", str_strip<Side::right>},
    {"split", str_split<false>},
    {"splitlines", str_splitlines},
    {"startswith", str_affix<true>},
    {"strip", str_strip<Side::both>},
    {"swapcase", str_case<CaseChange::swap>},
    {"title", str_case<CaseChange::title>},
    {"upper", str_case<CaseChange::upper>},
    {"zfill", str_zfill},
});

}  // namespace

Method string_method(std::string_view name) {
  const auto* found =
      std::find_if(kMethods.begin(), kMethods.end(), [&](const NamedMethod& m) { return m.name == name; });
  return found == kMethods.end() ? nullptr : found->method;
}

}  // namespace sterna::runtime::jinja
