#include <fmt/format.h>

#include <algorithm>

#include "runtime/chat_template/arguments.h"
#include "runtime/chat_template/interpreter_base.h"
#include "runtime/chat_template/operations.h"
#include "runtime/chat_template/printing.h"
#include "runtime/chat_template/unicode.h"

namespace sterna::runtime::jinja {

Result<Value> Interpreter::call(const Value& callee, const Arguments& arguments) {
  if (callee.is_undefined()) return callee.undefined_error();
  STERNA_CHECK(env_.budget.spend(1));
  if (const auto* method = callee.object_as<BoundMethod>())
    return method->method(env_, method->self, arguments);
  if (const auto* function = callee.object_as<BuiltinFunction>()) return function->function(env_, arguments);
  if (const auto* macro = callee.object_as<Macro>()) return call_macro(*macro, arguments);
  if (const auto* loop = callee.object_as<Loop>()) return call_loop(*loop, arguments);
  auto* joiner = callee.object_as<Joiner>();
  if (joiner == nullptr) return fail("a value of type {} cannot be called", type_name(callee));
  STERNA_TRY([[maybe_unused]] const Bound bound, Bound::bind("a joiner", arguments, {}));
  return std::exchange(joiner->used, true) ? Value(joiner->separator) : Value(Text());
}

Value Interpreter::make_macro(const Stmt& statement) {
  capture(frame_);
  auto macro = std::make_shared<Macro>();
  macro->statement = &statement;
  macro->frame = frame_;
  return Value(Value::ObjectPtr(std::move(macro)));
}

namespace {

std::string describe_macro(const Stmt& statement) {
  return statement.name.empty() ? std::string("caller") : fmt::format("macro '{}'", statement.name);
}

// Moves the value of that name out of `named`; false if it is not there.
bool take_named(NamedValues& named, std::string_view name, Value& value) {
  const auto found =
      std::find_if(named.begin(), named.end(), [&](const auto& entry) { return entry.first == name; });
  if (found == named.end()) return false;
  value = std::move(found->second);
  named.erase(found);
  return true;
}

}  // namespace

// Binds what a call gives: positional arguments first, then named ones; what is left over goes to varargs and
// kwargs where the macro has them, and then the defaults are evaluated.
Status Interpreter::bind_parameters(const Stmt& statement, const Arguments& arguments, Frame& frame) {
  const std::vector<std::string>& names = statement.parameters.names;
  STERNA_CHECK(env_.budget.spend(names.size() * (1 + arguments.named.size() / 8)));
  NamedValues named = arguments.named;
  std::vector<std::size_t> missing;
  for (std::size_t i = 0; i < names.size(); ++i) {
    Value value = Value::undefined(fmt::format("the parameter '{}' was not given", names[i]));
    const bool positional = i < arguments.positional.size();
    if (positional) value = arguments.positional[i];
    if (!positional && !take_named(named, names[i], value)) missing.push_back(i);
    frame.set(names[i], std::move(value));
  }
  if (statement.takes_caller && std::find(names.begin(), names.end(), "caller") == names.end()) {
    Value caller = Value::undefined("there is no caller here");
    take_named(named, "caller", caller);
    frame.set("caller", std::move(caller));
  }
  STERNA_CHECK(bind_rest(statement, arguments, named, frame));
  const std::size_t first_default = names.size() - statement.parameters.defaults.size();
  for (const std::size_t i : missing) {
    if (i < first_default) continue;
    STERNA_TRY(Value value, eval(*statement.parameters.defaults[i - first_default]));
    frame.set(names[i], std::move(value));
  }
  return {};
}

Status Interpreter::bind_rest(const Stmt& statement, const Arguments& arguments, const NamedValues& named,
                              Frame& frame) {
  const std::size_t parameters = statement.parameters.names.size();
  const std::vector<Value>& positional = arguments.positional;
  if (!named.empty() && !statement.takes_kwargs) {
    return fail("{} has no parameter '{}'", describe_macro(statement), excerpt(named.front().first));
  }
  if (positional.size() > parameters && !statement.takes_varargs) {
    return fail("{} takes at most {} arguments, not {}", describe_macro(statement), parameters,
                positional.size());
  }
  if (statement.takes_kwargs) {
    std::vector<std::pair<Value, Value>> entries;
    for (const auto& [name, value] : named)
      entries.emplace_back(Value(Text(name, arguments.names_untrusted)), value);
    STERNA_TRY(Value kwargs, make_mapping(env_.budget, std::move(entries)));
    frame.set("kwargs", std::move(kwargs));
  }
  if (statement.takes_varargs) {
    const std::size_t used = std::min(parameters, positional.size());
    std::vector<Value> rest(positional.begin() + static_cast<std::ptrdiff_t>(used), positional.end());
    STERNA_TRY(Value varargs, make_tuple(env_.budget, std::move(rest)));
    frame.set("varargs", std::move(varargs));
  }
  return {};
}

Result<Value> Interpreter::call_macro(const Macro& macro, const Arguments& arguments) {
  const Level level(*this);
  STERNA_CHECK(level.check());
  const Stmt& statement = *macro.statement;
  const FramePtr frame = open_frame(statement.scope, macro.frame);
  const EnterFrame entered(*this, frame);
  STERNA_CHECK(bind_parameters(statement, arguments, *frame));
  Capture capture(*this);
  STERNA_TRY([[maybe_unused]] const Flow flow, exec(statement.body));
  return Value(capture.take());
}

Result<std::optional<Value>> Macro::attribute(Environment& env, const Value& /*self*/,
                                              std::string_view name) {
  using Found = std::optional<Value>;
  if (name == "name") return Found(statement->name.empty() ? Value(None{}) : Value::string(statement->name));
  if (name == "catch_kwargs") return Found(Value(statement->takes_kwargs));
  if (name == "catch_varargs") return Found(Value(statement->takes_varargs));
  if (name == "caller") return Found(Value(statement->takes_caller));
  if (name != "arguments") return Found();
  std::vector<Value> names;
  for (const std::string& parameter : statement->parameters.names) names.push_back(Value::string(parameter));
  STERNA_TRY(Value tuple, make_tuple(env.budget, std::move(names)));
  return Found(std::move(tuple));
}

Result<Value> Interpreter::call_loop(const Loop& loop, const Arguments& arguments) {
  STERNA_TRY(const Bound bound, Bound::bind("loop", arguments, {"iterable"}, 1));
  if (!loop.statement->recursive) return fail("a loop that calls itself needs 'recursive'");
  Capture capture(*this);
  STERNA_TRY([[maybe_unused]] const Flow flow,
             run_loop(*loop.statement, *bound[0], loop.outer, loop.depth0 + 1));
  return Value(capture.take());
}

// ---- loop ----

Result<std::optional<Value>> Loop::fetch() {
  while (next < items.size()) {
    const Value item = items[next++];
    if (!filtered) return std::optional<Value>(item);
    STERNA_TRY(const bool passes, interpreter->passes(*statement, outer, item));
    if (passes) return std::optional<Value>(item);
  }
  return std::optional<Value>();
}

Result<std::optional<Value>> Loop::peek() {
  if (!after) {
    STERNA_TRY(after, fetch());
  }
  return after;
}

Result<std::optional<Value>> Loop::advance() {
  STERNA_TRY(std::optional<Value> item, peek());
  after.reset();
  if (!item) return item;
  ++index0;
  before = std::move(current);
  current = item;
  return item;
}

Result<std::size_t> Loop::length() {
  if (known_length) return *known_length;
  if (!filtered) return items.size();
  std::vector<Value> rest;
  while (true) {
    STERNA_TRY(std::optional<Value> item, fetch());
    if (!item) break;
    rest.push_back(*std::move(item));
  }
  known_length = rest.size() + static_cast<std::size_t>(index0 + 1) + (after ? 1 : 0);
  items = std::move(rest);
  next = 0;
  filtered = false;
  return *known_length;
}

namespace {

Result<Value> loop_cycle(Environment& /*env*/, const Value& self, const Arguments& arguments) {
  if (arguments.positional.empty() || !arguments.named.empty())
    return fail("cycle needs at least one element");
  const auto index = static_cast<std::size_t>(self.object_as<Loop>()->index0);
  return arguments.positional[index % arguments.positional.size()];
}

Result<Value> loop_changed(Environment& env, const Value& self, const Arguments& arguments) {
  if (!arguments.named.empty()) return fail("changed takes no named arguments");
  auto* loop = self.object_as<Loop>();
  bool same = loop->last_changed && loop->last_changed->size() == arguments.positional.size();
  for (std::size_t i = 0; same && i < arguments.positional.size(); ++i) {
    STERNA_TRY(same, equal(env.budget, (*loop->last_changed)[i], arguments.positional[i]));
  }
  if (!same) loop->last_changed = arguments.positional;
  return Value(!same);
}

}  // namespace

Result<std::optional<Value>> Loop::attribute(Environment& /*env*/, const Value& self, std::string_view name) {
  using Found = std::optional<Value>;
  if (name == "index") return Found(Value(index0 + 1));
  if (name == "index0") return Found(Value(index0));
  if (name == "first") return Found(Value(index0 == 0));
  if (name == "depth") return Found(Value(depth0 + 1));
  if (name == "depth0") return Found(Value(depth0));
  if (name == "cycle") return Found(make_method(self, loop_cycle));
  if (name == "changed") return Found(make_method(self, loop_changed));
  if (name == "previtem")
    return before && index0 > 0 ? Found(*before) : Found(Value::undefined("there is no previous item"));
  if (name == "last" || name == "nextitem") {
    STERNA_TRY(const Found following, peek());
    if (name == "last") return Found(Value(!following));
    return following ? following : Found(Value::undefined("there is no next item"));
  }
  if (name == "length" || name == "revindex" || name == "revindex0") {
    STERNA_TRY(const std::size_t size, length());
    const auto total = static_cast<std::int64_t>(size);
    return Found(
        Value(name == "length" ? total : (name == "revindex" ? total - index0 : total - index0 - 1)));
  }
  return Found();
}

}  // namespace sterna::runtime::jinja
