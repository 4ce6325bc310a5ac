#include <fmt/format.h>

#include <array>

#include "runtime/chat_template/arguments.h"
#include "runtime/chat_template/filters.h"
#include "runtime/chat_template/formatting.h"
#include "runtime/chat_template/methods.h"
#include "runtime/chat_template/operations.h"
#include "runtime/chat_template/printing.h"
#include "runtime/chat_template/unicode.h"

namespace sterna::runtime::jinja {
namespace {

template <CaseChange change>
Result<Value> filter_case(Environment& env, const Value& input, const Arguments& arguments) {
  STERNA_TRY([[maybe_unused]] const Bound bound, Bound::bind("the filter", arguments, {}));
  STERNA_TRY(const Text text, soft_text(env, input));
  STERNA_CHECK(env.budget.spend_bytes(3 * text.cost()));
  STERNA_CHECK(env.budget.spend_characters(text.size()));
  return Value(change_case(text, change));
}

Result<Value> filter_title(Environment& env, const Value& input, const Arguments& arguments) {
  STERNA_TRY([[maybe_unused]] const Bound bound, Bound::bind("title", arguments, {}));
  STERNA_TRY(const Text text, soft_text(env, input));
  STERNA_CHECK(env.budget.spend_bytes(3 * text.cost()));
  STERNA_CHECK(env.budget.spend_characters(text.size()));
  return Value(title_words(text));
}

Result<Value> filter_trim(Environment& env, const Value& input, const Arguments& arguments) {
  STERNA_TRY(const Bound bound, Bound::bind("trim", arguments, {"chars"}));
  STERNA_TRY(const Text* characters, bound.text(0));
  STERNA_TRY(const Text text, soft_text(env, input));
  return Value(strip(text, characters, Side::both));
}

Result<Value> filter_replace(Environment& env, const Value& input, const Arguments& arguments) {
  STERNA_TRY(const Bound bound, Bound::bind("replace", arguments, {"old", "new", "count"}, 2));
  STERNA_TRY(const Text text, to_text(env.budget, input));
  STERNA_TRY(const Text from, to_text(env.budget, *bound[0]));
  STERNA_TRY(const Text to, to_text(env.budget, *bound[1]));
  STERNA_TRY(const std::int64_t count, bound.integer(2, -1));
  STERNA_TRY(Text result, replace(env.budget, text, from, to, count));
  return Value(std::move(result));
}

Result<Value> filter_string(Environment& env, const Value& input, const Arguments& arguments) {
  STERNA_TRY([[maybe_unused]] const Bound bound, Bound::bind("string", arguments, {}));
  STERNA_TRY(Text text, soft_text(env, input));
  return Value(std::move(text));
}

enum class Escape { mark_only, unless_marked, always };

template <Escape escape>
Result<Value> filter_escape(Environment& env, const Value& input, const Arguments& arguments) {
  STERNA_TRY([[maybe_unused]] const Bound bound, Bound::bind("the filter", arguments, {}));
  STERNA_TRY(Text text, to_text(env.budget, input));
  if (escape == Escape::always || (escape == Escape::unless_marked && !text.markup())) {
    STERNA_CHECK(env.budget.spend_bytes(5 * text.cost()));
    text = escape_html(text);
  }
  text.set_markup(true);
  return Value(std::move(text));
}

Result<Value> filter_center(Environment& env, const Value& input, const Arguments& arguments) {
  STERNA_TRY(const Bound bound, Bound::bind("center", arguments, {"width"}));
  STERNA_TRY(const std::int64_t width, bound.integer(0, 80));
  STERNA_TRY(Text text, soft_text(env, input));
  return string_method("center")(env, Value(std::move(text)), {{Value(width)}, {}});
}

Result<Value> filter_indent(Environment& env, const Value& input, const Arguments& arguments) {
  STERNA_TRY(const Bound bound, Bound::bind("indent", arguments, {"width", "first", "blank"}));
  if (input.is_undefined()) return input.undefined_error();
  if (input.text() == nullptr) return fail("indent needs a string, not {}", type_name(input));
  Text indention;
  if (bound[0] != nullptr && bound[0]->text() != nullptr) {
    indention = *bound[0]->text();
  } else {
    STERNA_TRY(const std::int64_t width, bound.integer(0, 4));
    STERNA_TRY(indention, repeat(env.budget, Text(" "), width));
  }
  const bool blank = bound.truth(2, false);
  Text closed = *input.text();
  closed.append("\n", false);  // an empty last line counts
  const std::vector<Text> lines = split_lines(closed, false);
  STERNA_CHECK(env.budget.spend_bytes(closed.cost() + lines.size() * (1 + indention.cost())));
  Text result;
  if (bound.truth(1, false)) result.append(indention);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) result.append("\n", false);
    if (i > 0 && (blank || !lines[i].empty())) result.append(indention);
    result.append(lines[i]);
  }
  return Value(std::move(result));
}

Result<Value> filter_truncate(Environment& env, const Value& input, const Arguments& arguments) {
  STERNA_TRY(const Bound bound, Bound::bind("truncate", arguments, {"length", "killwords", "end", "leeway"}));
  STERNA_TRY(const std::int64_t limit, bound.integer(0, 255));
  STERNA_TRY(const Text* given_end, bound.text(2));
  STERNA_TRY(const std::int64_t leeway, bound.integer(3, 5));
  if (input.text() != nullptr) STERNA_CHECK(env.budget.spend_search(input.text()->size(), 0));
  const auto size = length(input);
  if (!size) return fail("truncate needs a string, not {}", type_name(input));
  const Text end = given_end == nullptr ? Text("...") : *given_end;
  const auto end_length = static_cast<std::int64_t>(count_code_points(end.view()));
  if (limit < end_length || leeway < 0)
    return fail("truncate needs a length of at least {} and no negative leeway", end_length);
  if (static_cast<std::int64_t>(*size) - leeway <= limit) return input;
  if (input.text() == nullptr) return fail("truncate needs a string, not {}", type_name(input));
  const Text& text = *input.text();
  STERNA_CHECK(env.budget.spend_bytes(text.cost() + end.cost()));
  Text result = text.slice(0, byte_offset(text.view(), static_cast<std::size_t>(limit - end_length)));
  if (!bound.truth(1, false)) result = split(result, " ", 1, true).front();
  result.append(end);
  return Value(std::move(result));
}

Result<Value> filter_wordcount(Environment& env, const Value& input, const Arguments& arguments) {
  STERNA_TRY([[maybe_unused]] const Bound bound, Bound::bind("wordcount", arguments, {}));
  STERNA_TRY(const Text text, soft_text(env, input));
  STERNA_CHECK(env.budget.spend_characters(text.size()));
  std::int64_t words = 0;
  bool inside = false;
  for (std::size_t at = 0; at < text.size();) {
    const bool word = is_word(decode(text.view(), at));
    words += word && !inside ? 1 : 0;
    inside = word;
  }
  return Value(words);
}

Result<Value> filter_format(Environment& env, const Value& input, const Arguments& arguments) {
  if (!arguments.positional.empty() && !arguments.named.empty()) {
    return fail("format takes either positional or named values");
  }
  STERNA_TRY(const Text format, soft_text(env, input));
  Value values;
  if (arguments.named.empty()) {
    STERNA_TRY(values, make_tuple(env.budget, arguments.positional));
  } else {
    std::vector<std::pair<Value, Value>> entries;
    for (const auto& [name, value] : arguments.named)
      entries.emplace_back(Value(Text(name, arguments.names_untrusted)), value);
    STERNA_TRY(values, make_mapping(env.budget, std::move(entries)));
  }
  STERNA_TRY(Text result, format_percent(env.budget, format, values));
  return Value(std::move(result));
}

// ---- urlencode ----

Text url_quote(const Text& text, bool for_query) {
  TrustCursor trust(text);
  Text result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text.bytes()[i];
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '_' || c == '.' || c == '-' || c == '~' || (c == '/' && !for_query);
    const bool untrusted = trust.untrusted_at(i);
    if (plain) {
      result.append(std::string_view(&c, 1), untrusted);
    } else {
      result.append(c == ' ' && for_query ? "+" : fmt::format("%{:02X}", static_cast<unsigned char>(c)),
                    untrusted);
    }
  }
  return result;
}

Result<Text> quoted(Environment& env, const Value& value, bool for_query) {
  STERNA_TRY(const Text text, to_text(env.budget, value));
  STERNA_CHECK(env.budget.spend_bytes(3 * text.cost()));
  return url_quote(text, for_query);
}

Result<Value> filter_urlencode(Environment& env, const Value& input, const Arguments& arguments) {
  STERNA_TRY([[maybe_unused]] const Bound bound, Bound::bind("urlencode", arguments, {}));
  const bool iterable = length(input) || input.object_as<Iterator>() != nullptr;
  if (input.text() != nullptr || !iterable) {
    STERNA_TRY(Text result, quoted(env, input, false));
    return Value(std::move(result));
  }
  std::vector<Value> pairs;
  if (const Mapping* mapping = input.mapping()) {
    for (const auto& [key, value] : mapping->entries) {
      STERNA_TRY(Value pair, make_tuple(env.budget, {key, value}));
      pairs.push_back(std::move(pair));
    }
  } else {
    STERNA_TRY(pairs, iterate(env.budget, input));
  }
  std::vector<Text> parts;
  for (const Value& pair : pairs) {
    STERNA_TRY(const std::vector<Value> both, iterate(env.budget, pair));
    if (both.size() != 2) return fail("urlencode needs pairs");
    STERNA_TRY(Text part, quoted(env, both[0], true));
    STERNA_TRY(const Text value, quoted(env, both[1], true));
    part.append("=", false);
    part.append(value);
    parts.push_back(std::move(part));
  }
  STERNA_TRY(Text result, join(env.budget, Text("&"), parts));
  return Value(std::move(result));
}

// ---- tojson ----

Status set_indent(Budget& budget, const Value* indent, JsonStyle& style) {
  if (indent == nullptr || indent->is_none()) return {};
  style.pretty = true;
  style.item_separator = Text(",");
  if (const Text* text = indent->text()) {
    style.indent = *text;
    return {};
  }
  const auto width = indent->integer();
  if (!width) return fail("the indent of tojson must be an integer or a string, not {}", type_name(*indent));
  STERNA_TRY(style.indent, repeat(budget, Text(" "), *width));
  return {};
}

Status set_separators(Budget& budget, const Value* separators, JsonStyle& style) {
  if (separators == nullptr || separators->is_none()) return {};
  STERNA_TRY(const std::vector<Value> both, iterate(budget, *separators));
  if (both.size() != 2 || both[0].text() == nullptr || both[1].text() == nullptr) {
    return fail("the separators of tojson must be two strings");
  }
  style.item_separator = *both[0].text();
  style.key_separator = *both[1].text();
  return {};
}

Result<Value> filter_tojson(Environment& env, const Value& input, const Arguments& arguments) {
  STERNA_TRY(const Bound bound,
             Bound::bind("tojson", arguments, {"ensure_ascii", "indent", "separators", "sort_keys"}));
  JsonStyle style;
  style.ascii = bound.truth(0, false);
  style.sort_keys = bound.truth(3, false);
  STERNA_CHECK(set_indent(env.budget, bound[1], style));
  STERNA_CHECK(set_separators(env.budget, bound[2], style));
  STERNA_TRY(Text result, to_json(env.budget, input, style));
  return Value(std::move(result));
}

constexpr auto kFilters = std::to_array<NamedFilter>({
    {"capitalize", filter_case<CaseChange::capitalize>},
    {"center", filter_center},
    {"e", filter_escape<Escape::unless_marked>},
    {"escape", filter_escape<Escape::unless_marked>},
    {"forceescape", filter_escape<Escape::always>},
    {"format", filter_format},
    {"indent", filter_indent},
    {"lower", filter_case<CaseChange::lower>},
    {"replace", filter_replace},
    {"safe", filter_escape<Escape::mark_only>},
    {"string", filter_string},
    {"title", filter_title},
    {"tojson", filter_tojson},
    {"trim", filter_trim},
    {"truncate", filter_truncate},
    {"upper", filter_case<CaseChange::upper>},
    {"urlencode", filter_urlencode},
    {"wordcount", filter_wordcount},
});

}  // namespace

std::span<const NamedFilter> text_filters() { return kFilters; }

}  // namespace sterna::runtime::jinja
