#include <fmt/format.h>

#include "runtime/chat_template/interpreter_base.h"
#include "runtime/chat_template/operations.h"
#include "runtime/chat_template/printing.h"
#include "runtime/chat_template/unicode.h"

namespace sterna::runtime::jinja {

Result<Value> Interpreter::eval(const Expr& expr) {
  const Level level(*this);
  Result<Value> result = [&]() -> Result<Value> {
    STERNA_CHECK(level.check());
    STERNA_CHECK(env_.budget.spend(1));
    return dispatch(expr);
  }();
  if (!result && error_line_ == 0) error_line_ = expr.line;
  return result;
}

Result<Value> Interpreter::dispatch(const Expr& expr) {
  switch (expr.kind) {
    case Expr::Kind::constant:
      return expr.constant;
    case Expr::Kind::name:
      return eval_name(expr);
    case Expr::Kind::list:
    case Expr::Kind::tuple:
      return eval_sequence(expr);
    case Expr::Kind::dict:
      return eval_dict(expr);
    case Expr::Kind::negate:
    case Expr::Kind::plus:
    case Expr::Kind::logical_not:
      return eval_unary(expr);
    case Expr::Kind::logical_and:
    case Expr::Kind::logical_or:
      return eval_logical(expr);
    case Expr::Kind::arithmetic:
      return eval_arithmetic(expr);
    case Expr::Kind::comparison:
      return eval_comparison(expr);
    case Expr::Kind::concatenate:
      return eval_concatenate(expr);
    case Expr::Kind::conditional:
      return eval_conditional(expr);
    case Expr::Kind::attribute:
      return eval_attribute(expr);
    case Expr::Kind::item:
      return eval_item(expr);
    case Expr::Kind::slice:
      return eval_slice(expr);
    case Expr::Kind::call:
      return eval_call(expr, nullptr);
    case Expr::Kind::filter:
      return eval_filter(expr);
    case Expr::Kind::test:
      return eval_test(expr);
    case Expr::Kind::namespace_item:
      break;  // only ever a target
  }
  return fail("this cannot be evaluated");
}

Result<Value> Interpreter::eval_name(const Expr& expr) {
  for (Frame* frame = frame_.get(); frame != nullptr; frame = frame->parent.get()) {
    STERNA_CHECK(env_.budget.spend(frame->variables.size() / 32));
    if (const Value* value = frame->find(expr.name)) return *value;
  }
  STERNA_CHECK(env_.budget.spend(context_.size() / 32));
  for (const auto& [name, value] : context_) {
    if (name == expr.name) return value;
  }
  if (auto function = global_function(expr.name)) return *std::move(function);
  return Value::undefined(fmt::format("'{}' is undefined", expr.name));
}

Result<Value> Interpreter::eval_sequence(const Expr& expr) {
  std::vector<Value> items;
  items.reserve(expr.items.size());
  for (const ExprPtr& item : expr.items) {
    STERNA_TRY(Value value, eval(*item));
    items.push_back(std::move(value));
  }
  return make_sequence(env_.budget, std::move(items), expr.kind == Expr::Kind::tuple);
}

Result<Value> Interpreter::eval_dict(const Expr& expr) {
  std::vector<std::pair<Value, Value>> entries;
  for (std::size_t i = 0; i < expr.items.size(); i += 2) {
    STERNA_TRY(Value key, eval(*expr.items[i]));
    STERNA_TRY(Value value, eval(*expr.items[i + 1]));
    entries.emplace_back(std::move(key), std::move(value));
  }
  return make_mapping(env_.budget, std::move(entries));
}

Result<Value> Interpreter::eval_unary(const Expr& expr) {
  STERNA_TRY(const Value operand, eval(*expr.items[0]));
  if (expr.kind == Expr::Kind::logical_not) return Value(!truth(operand));
  if (expr.kind == Expr::Kind::negate) return negate(operand);
  if (const auto integer = operand.integer()) return Value(*integer);
  if (operand.floating() != nullptr) return operand;
  return operand.is_undefined() ? operand.undefined_error()
                                : fail("'+' is not supported for '{}'", type_name(operand));
}

Result<Value> Interpreter::eval_logical(const Expr& expr) {
  STERNA_TRY(Value left, eval(*expr.items[0]));
  if (truth(left) == (expr.kind == Expr::Kind::logical_or)) return left;
  return eval(*expr.items[1]);
}

Result<Value> Interpreter::eval_arithmetic(const Expr& expr) {
  STERNA_TRY(const Value left, eval(*expr.items[0]));
  STERNA_TRY(const Value right, eval(*expr.items[1]));
  return arithmetic(env_.budget, expr.op, left, right);
}

Result<Value> Interpreter::eval_comparison(const Expr& expr) {
  STERNA_TRY(Value left, eval(*expr.items[0]));
  for (std::size_t i = 0; i < expr.ops.size(); ++i) {
    STERNA_TRY(Value right, eval(*expr.items[i + 1]));
    STERNA_TRY(const bool holds, compare(env_.budget, expr.ops[i], left, right));
    if (!holds) return Value(false);
    left = std::move(right);
  }
  return Value(true);
}

Result<Value> Interpreter::eval_concatenate(const Expr& expr) {
  std::vector<Text> parts;
  for (const ExprPtr& item : expr.items) {
    STERNA_TRY(const Value value, eval(*item));
    STERNA_TRY(Text part, to_text(env_.budget, value));
    parts.push_back(std::move(part));
  }
  STERNA_TRY(Text result, join(env_.budget, Text(), parts));
  return Value(std::move(result));
}

Result<Value> Interpreter::eval_conditional(const Expr& expr) {
  STERNA_TRY(const Value condition, eval(*expr.items[1]));
  if (truth(condition)) return eval(*expr.items[0]);
  if (expr.items[2] != nullptr) return eval(*expr.items[2]);
  return Value::undefined("the condition of an 'if' without 'else' is false");
}

Result<Value> Interpreter::eval_attribute(const Expr& expr) {
  STERNA_TRY(const Value value, eval(*expr.items[0]));
  return get_attribute(env_, value, expr.name);
}

Result<Value> Interpreter::eval_item(const Expr& expr) {
  STERNA_TRY(const Value value, eval(*expr.items[0]));
  STERNA_TRY(const Value index, eval(*expr.items[1]));
  return get_item(env_, value, index);
}

Status Interpreter::eval_bound(const ExprPtr& bound, Value& value) {
  if (bound == nullptr) return {};
  STERNA_TRY(value, eval(*bound));
  return {};
}

Result<Value> Interpreter::eval_slice(const Expr& expr) {
  STERNA_TRY(const Value value, eval(*expr.items[0]));
  SliceBounds bounds;
  STERNA_CHECK(eval_bound(expr.items[1], bounds.start));
  STERNA_CHECK(eval_bound(expr.items[2], bounds.stop));
  STERNA_CHECK(eval_bound(expr.items[3], bounds.step));
  return slice(env_.budget, value, bounds);
}

Result<Arguments> Interpreter::eval_arguments(const CallArguments& arguments) {
  Arguments result;
  for (const ExprPtr& item : arguments.positional) {
    STERNA_TRY(Value value, eval(*item));
    result.positional.push_back(std::move(value));
  }
  for (const auto& [name, item] : arguments.named) {
    STERNA_TRY(Value value, eval(*item));
    result.named.emplace_back(name, std::move(value));
  }
  if (arguments.rest != nullptr) {
    STERNA_TRY(const Value rest, eval(*arguments.rest));
    STERNA_TRY(const std::vector<Value> items, iterate(env_.budget, rest));
    result.positional.insert(result.positional.end(), items.begin(), items.end());
  }
  if (arguments.named_rest == nullptr) return result;
  STERNA_TRY(const Value rest, eval(*arguments.named_rest));
  if (rest.mapping() == nullptr) return fail("'**' needs a dict, not {}", type_name(rest));
  for (const auto& [key, value] : rest.mapping()->entries) {
    if (key.text() == nullptr) return fail("'**' needs a dict whose keys are strings");
    for (const auto& other : result.named) {
      if (other.first == key.text()->view()) return fail("a call gives '{}' twice", excerpt(other.first));
    }
    STERNA_CHECK(env_.budget.spend(1 + result.named.size() / 32));
    result.names_untrusted = result.names_untrusted || key.text()->any_untrusted();
    result.named.emplace_back(key.text()->bytes(), value);
  }
  return result;
}

Result<Value> Interpreter::eval_call(const Expr& expr, const Value* caller) {
  STERNA_TRY(const Value callee, eval(*expr.items[0]));
  STERNA_TRY(Arguments arguments, eval_arguments(expr.arguments));
  if (caller != nullptr) arguments.named.emplace_back("caller", *caller);
  return call(callee, arguments);
}

Result<Value> Interpreter::eval_filter(const Expr& expr) {
  Value input = block_text_;
  if (expr.items[0] != nullptr) {
    STERNA_TRY(input, eval(*expr.items[0]));
  }
  STERNA_TRY(const Arguments arguments, eval_arguments(expr.arguments));
  return apply_filter(env_, expr.name, input, arguments);
}

Result<Value> Interpreter::eval_test(const Expr& expr) {
  STERNA_TRY(const Value input, eval(*expr.items[0]));
  STERNA_TRY(const Arguments arguments, eval_arguments(expr.arguments));
  STERNA_TRY(const bool holds, apply_test(env_, expr.name, input, arguments));
  return Value(holds);
}

}  // namespace sterna::runtime::jinja
