// The functions that every template can call, and the objects that some of them make.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <ctime>

#include "runtime/chat_template/arguments.h"
#include "runtime/chat_template/environment.h"
#include "runtime/chat_template/operations.h"
#include "runtime/chat_template/printing.h"
#include "runtime/chat_template/unicode.h"

namespace sterna::runtime::jinja {
namespace {

Result<Value> call_range(Environment& /*env*/, const Arguments& arguments) {
  STERNA_TRY(const Bound bound, Bound::bind("range", arguments, {"", "", ""}, 1));
  auto range = std::make_shared<Range>();
  STERNA_TRY(range->start, bound.integer(0, 0));
  if (bound[0]->is_none()) return fail("range needs integers");
  if (bound[1] == nullptr) {
    std::swap(range->start, range->stop);
  } else {
    STERNA_TRY(range->stop, bound.integer(1, 0));
    STERNA_TRY(range->step, bound.integer(2, 1));
    if (bound[1]->is_none()) return fail("range needs integers");
  }
  if (range->step == 0) return fail("the step of a range cannot be zero");
  constexpr std::int64_t kFurthest = std::int64_t{1} << 60;  // keeps sums of positions within 64 bits
  for (const std::int64_t bound_value : {range->start, range->stop, range->step}) {
    if (bound_value > kFurthest || bound_value < -kFurthest)
      return fail("a range to {} is too large", bound_value);
  }
  constexpr std::size_t kMostElements = 100'000;  // the limit of Jinja's sandbox
  if (range->length() > kMostElements)
    return fail("a range of {} elements is too large, the limit is {}", range->length(), kMostElements);
  return Value(Value::ObjectPtr(std::move(range)));
}

// The entries of dict(mapping or pairs, **named).
Result<std::vector<std::pair<Value, Value>>> dict_entries(Environment& env, const Arguments& arguments) {
  std::vector<std::pair<Value, Value>> entries;
  if (arguments.positional.size() > 1) return fail("dict takes one positional argument");
  if (!arguments.positional.empty()) {
    const Value& source = arguments.positional[0];
    if (const Mapping* mapping = source.mapping()) {
      entries = mapping->entries;
      STERNA_CHECK(env.budget.spend(entries.size()));
    } else {
      STERNA_TRY(const std::vector<Value> pairs, iterate(env.budget, source));
      for (const Value& pair : pairs) {
        STERNA_TRY(const std::vector<Value> both, iterate(env.budget, pair));
        if (both.size() != 2) return fail("dict needs pairs, not {} elements", both.size());
        entries.emplace_back(both[0], both[1]);
      }
    }
  }
  for (const auto& [name, value] : arguments.named)
    entries.emplace_back(Value(Text(name, arguments.names_untrusted)), value);
  return entries;
}

Result<Value> call_dict(Environment& env, const Arguments& arguments) {
  STERNA_TRY(auto entries, dict_entries(env, arguments));
  return make_mapping(env.budget, std::move(entries));
}

Result<Value> call_fromkeys(Environment& env, const Value& /*self*/, const Arguments& arguments) {
  STERNA_TRY(const Bound bound, Bound::bind("fromkeys", arguments, {"", ""}, 1));
  STERNA_TRY(const std::vector<Value> keys, iterate(env.budget, *bound[0]));
  std::vector<std::pair<Value, Value>> entries;
  entries.reserve(keys.size());
  for (const Value& key : keys) entries.emplace_back(key, bound[1] == nullptr ? Value(None{}) : *bound[1]);
  return make_mapping(env.budget, std::move(entries));
}

Result<Value> call_namespace(Environment& env, const Arguments& arguments) {
  STERNA_TRY(auto entries, dict_entries(env, arguments));
  auto space = std::make_shared<Namespace>();
  env.namespaces.push_back(space);
  for (auto& [key, value] : entries) {
    const Text* name = key.text();
    if (name == nullptr) return fail("the names of a namespace are strings, not {}", type_name(key));
    if (name->view().starts_with('_'))
      return fail("a namespace takes no name that begins with '_': '{}'", excerpt(name->view()));
    const auto same = [&](const auto& attribute) { return attribute.first.view() == name->view(); };
    const auto found = std::find_if(space->attributes.begin(), space->attributes.end(), same);
    STERNA_CHECK(env.budget.spend(1 + space->attributes.size() / 32));
    if (found != space->attributes.end()) {
      found->second = std::move(value);
    } else {
      space->attributes.emplace_back(*name, std::move(value));
    }
  }
  return Value(Value::ObjectPtr(std::move(space)));
}

Result<Value> call_cycler(Environment& env, const Arguments& arguments) {
  if (arguments.positional.empty() || !arguments.named.empty())
    return fail("cycler needs at least one element");
  auto cycler = std::make_shared<Cycler>();
  for (const Value& item : arguments.positional) cycler->depth = std::max(cycler->depth, 1 + depth_of(item));
  STERNA_CHECK(env.budget.check_depth(cycler->depth));
  cycler->items = arguments.positional;
  return Value(Value::ObjectPtr(std::move(cycler)));
}

Result<Value> cycler_next(Environment& /*env*/, const Value& self, const Arguments& arguments) {
  STERNA_TRY([[maybe_unused]] const Bound bound, Bound::bind("next", arguments, {}));
  auto* cycler = self.object_as<Cycler>();
  const std::size_t position = cycler->position;
  cycler->position = (position + 1) % cycler->items.size();
  return cycler->items[position];
}

Result<Value> cycler_reset(Environment& /*env*/, const Value& self, const Arguments& arguments) {
  STERNA_TRY([[maybe_unused]] const Bound bound, Bound::bind("reset", arguments, {}));
  self.object_as<Cycler>()->position = 0;
  return Value(None{});
}

Result<Value> call_joiner(Environment& env, const Arguments& arguments) {
  STERNA_TRY(const Bound bound, Bound::bind("joiner", arguments, {"sep"}));
  auto joiner = std::make_shared<Joiner>();
  joiner->separator = Text(", ");
  if (bound[0] != nullptr) {
    STERNA_TRY(joiner->separator, to_text(env.budget, *bound[0]));
  }
  return Value(Value::ObjectPtr(std::move(joiner)));
}

// Errors are one line: line breaks and control characters become spaces.
std::string one_line(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; },
      ' ');
  return text;
}

Result<Value> call_raise_exception(Environment& env, const Arguments& arguments) {
  STERNA_TRY(const Bound bound, Bound::bind("raise_exception", arguments, {"message"}, 1));
  STERNA_TRY(const Text message, to_text(env.budget, *bound[0]));
  env.raised = true;
  if (message.empty()) return fail("the chat template refuses these messages and does not say why");
  return Error{one_line(message.bytes())};
}

// One directive of strftime, "%d" or "%-d".
std::string format_time(const std::tm& time, const std::string& directive) {
  std::array<char, 256> buffer{};
  const std::size_t length = std::strftime(buffer.data(), buffer.size(), directive.c_str(), &time);
  return {buffer.data(), length};
}

Result<Value> call_strftime_now(Environment& env, const Arguments& arguments) {
  STERNA_TRY(const Bound bound, Bound::bind("strftime_now", arguments, {"format"}, 1));
  STERNA_TRY(const Text* format, bound.text(0));
  if (format == nullptr) return fail("strftime_now needs a format");
  STERNA_CHECK(env.budget.spend_bytes(8 * format->cost()));
  const std::tm now = env.clock();
  constexpr std::string_view kDirectives = "aAbBcCdDeFgGhHIjklmMnprRsStTuUVwWxXyYzZ%";
  const std::string_view bytes = format->view();
  Text result;
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t percent = std::min(bytes.find('%', at), bytes.size());
    result.append_slice(*format, at, percent);
    if (percent == bytes.size()) break;
    std::size_t end = percent + 1;
    while (end < bytes.size() && std::string_view("-_0^#").find(bytes[end]) != std::string_view::npos) ++end;
    const bool known = end < bytes.size() && kDirectives.find(bytes[end]) != std::string_view::npos;
    if (!known) {
      return fail("strftime_now does not know '{}'", excerpt(bytes.substr(percent, end - percent + 1)));
    }
    result.append(format_time(now, std::string(bytes.substr(percent, end - percent + 1))), false);
    at = end + 1;
  }
  return Value(std::move(result));
}

struct NamedFunction {
  std::string_view name;
  Function function;
};

constexpr auto kFunctions = std::to_array<NamedFunction>({
    {"cycler", call_cycler},
    {"dict", call_dict},
    {"joiner", call_joiner},
    {"namespace", call_namespace},
    {"raise_exception", call_raise_exception},
    {"range", call_range},
    {"strftime_now", call_strftime_now},
});

}  // namespace

Result<std::optional<Value>> Cycler::attribute(Environment& /*env*/, const Value& self,
                                               std::string_view name) {
  if (name == "current") return std::optional<Value>(items[position]);
  if (name == "next") return std::optional<Value>(make_method(self, cycler_next));
  if (name == "reset") return std::optional<Value>(make_method(self, cycler_reset));
  return std::optional<Value>();
}

Result<std::optional<Value>> BuiltinFunction::attribute(Environment& /*env*/, const Value& self,
                                                        std::string_view name) {
  if (is_dict && name == "fromkeys") return std::optional<Value>(make_method(self, call_fromkeys));
  return std::optional<Value>();
}

std::optional<Value> global_function(std::string_view name) {
  const auto* found = std::find_if(kFunctions.begin(), kFunctions.end(),
                                   [&](const NamedFunction& f) { return f.name == name; });
  if (found == kFunctions.end()) return std::nullopt;
  auto function = std::make_shared<BuiltinFunction>();
  function->function = found->function;
  function->is_dict = name == "dict";
  return Value(Value::ObjectPtr(std::move(function)));
}

}  // namespace sterna::runtime::jinja
