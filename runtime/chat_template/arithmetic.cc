#include <cmath>
#include <limits>

#include "runtime/chat_template/formatting.h"
#include "runtime/chat_template/operations.h"

namespace sterna::runtime::jinja {
namespace {

Error overflow() { return fail("the result does not fit an integer of 64 bits"); }
Error zero_division() { return fail("division by zero"); }

Error unsupported(Operator op, const Value& left, const Value& right) {
  if (left.is_undefined()) return left.undefined_error();
  if (right.is_undefined()) return right.undefined_error();
  return fail("'{}' is not supported between '{}' and '{}'", operator_symbol(op), type_name(left),
              type_name(right));
}

Result<Value> floor_divide(std::int64_t a, std::int64_t b) {
  if (b == 0) return zero_division();
  if (b == -1) return a == std::numeric_limits<std::int64_t>::min() ? Result<Value>(overflow()) : Value(-a);
  const std::int64_t quotient = a / b;
  return Value(a % b != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient);
}

Result<Value> modulo(std::int64_t a, std::int64_t b) {
  if (b == 0) return zero_division();
  if (b == -1) return Value(std::int64_t{0});
  const std::int64_t rest = a % b;
  return Value(rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest);
}

Result<Value> power(std::int64_t base, std::int64_t exponent) {
  if (exponent < 0) {
    if (base == 0) return zero_division();
    return Value(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  }
  std::int64_t result = 1;
  while (exponent > 0) {
    if ((exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result)) return overflow();
    exponent >>= 1;
    if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) return overflow();
  }
  return Value(result);
}

Result<Value> integer_arithmetic(Operator op, std::int64_t a, std::int64_t b) {
  std::int64_t result = 0;
  switch (op) {
    case Operator::add:
      return __builtin_add_overflow(a, b, &result) ? Result<Value>(overflow()) : Value(result);
    case Operator::subtract:
      return __builtin_sub_overflow(a, b, &result) ? Result<Value>(overflow()) : Value(result);
    case Operator::multiply:
      return __builtin_mul_overflow(a, b, &result) ? Result<Value>(overflow()) : Value(result);
    case Operator::divide:
      if (b == 0) return zero_division();
      return Value(static_cast<double>(a) / static_cast<double>(b));
    case Operator::floor_divide:
      return floor_divide(a, b);
    case Operator::modulo:
      return modulo(a, b);
    default:
      return power(a, b);
  }
}

double modulo(double a, double b) {
  const double rest = std::fmod(a, b);
  if (rest == 0) return std::copysign(0.0, b);
  return (rest < 0) != (b < 0) ? rest + b : rest;
}

double floor_divide(double a, double b) {
  const double rest = modulo(a, b);
  const double quotient = (a - rest) / b;
  if (quotient == 0) return std::copysign(0.0, a / b);
  const double floored = std::floor(quotient);
  return quotient - floored > 0.5 ? floored + 1 : floored;
}

Result<Value> power(double a, double b) {
  if (a == 0 && b < 0) return zero_division();
  if (a < 0 && std::isfinite(a) && std::isfinite(b) && b != std::floor(b)) {
    return fail("a negative number cannot be raised to a fraction");
  }
  const double result = std::pow(a, b);
  if (std::isinf(result) && std::isfinite(a) && std::isfinite(b))
    return fail("the result is too large for a float");
  return Value(result);
}

Result<Value> float_arithmetic(Operator op, double a, double b) {
  const bool divides = op == Operator::divide || op == Operator::floor_divide || op == Operator::modulo;
  if (divides && b == 0) return zero_division();
  switch (op) {
    case Operator::add:
      return Value(a + b);
    case Operator::subtract:
      return Value(a - b);
    case Operator::multiply:
      return Value(a * b);
    case Operator::divide:
      return Value(a / b);
    case Operator::floor_divide:
      return Value(floor_divide(a, b));
    case Operator::modulo:
      return Value(modulo(a, b));
    default:
      return power(a, b);
  }
}

Result<Value> concatenate(Budget& budget, const Text& a, const Text& b) {
  STERNA_CHECK(budget.spend_bytes(a.cost() + b.cost()));
  const bool markup = a.markup() || b.markup();
  Text result = markup && !a.markup() ? escape_html(a) : a;
  result.append(markup && !b.markup() ? escape_html(b) : b);
  result.set_markup(markup);
  return Value(std::move(result));
}

Result<Value> add_sequences(Budget& budget, const Sequence& a, const Sequence& b) {
  STERNA_CHECK(budget.spend((a.items.size() + b.items.size()) / 4));
  std::vector<Value> items = a.items;
  items.insert(items.end(), b.items.begin(), b.items.end());
  return make_sequence(budget, std::move(items), a.tuple);
}

Result<Value> repeat_sequence(Budget& budget, const Sequence& sequence, std::int64_t count) {
  const std::size_t size = sequence.items.size();
  const std::size_t times = count <= 0 || size == 0 ? 0 : static_cast<std::size_t>(count);
  std::size_t total = 0;
  if (__builtin_mul_overflow(size, times, &total)) total = std::numeric_limits<std::size_t>::max();
  STERNA_CHECK(budget.spend(total));
  std::vector<Value> items;
  items.reserve(total);
  for (std::size_t i = 0; i < times; ++i)
    items.insert(items.end(), sequence.items.begin(), sequence.items.end());
  return make_sequence(budget, std::move(items), sequence.tuple);
}

Result<Value> multiply(Budget& budget, const Value& left, const Value& right) {
  const auto count = left.integer() ? left.integer() : right.integer();
  const Value& other = left.integer() ? right : left;
  if (!count) return unsupported(Operator::multiply, left, right);
  if (const Text* text = other.text()) {
    STERNA_TRY(Text result, repeat(budget, *text, *count));
    return Value(std::move(result));
  }
  if (const Sequence* sequence = other.sequence()) return repeat_sequence(budget, *sequence, *count);
  return unsupported(Operator::multiply, left, right);
}

}  // namespace

std::string_view operator_symbol(Operator op) {
  switch (op) {
    case Operator::add:
      return "+";
    case Operator::subtract:
      return "-";
    case Operator::multiply:
      return "*";
    case Operator::divide:
      return "/";
    case Operator::floor_divide:
      return "//";
    case Operator::modulo:
      return "%";
    case Operator::power:
      return "**";
    case Operator::equal:
      return "==";
    case Operator::not_equal:
      return "!=";
    case Operator::less:
      return "<";
    case Operator::less_equal:
      return "<=";
    case Operator::greater:
      return ">";
    case Operator::greater_equal:
      return ">=";
    case Operator::in:
      return "in";
    case Operator::not_in:
      return "not in";
  }
  return "?";
}

Result<Value> arithmetic(Budget& budget, Operator op, const Value& left, const Value& right) {
  if (left.is_number() && right.is_number()) {
    const auto a = left.integer();
    const auto b = right.integer();
    if (a && b) return integer_arithmetic(op, *a, *b);
    return float_arithmetic(op, left.as_double(), right.as_double());
  }
  if (op == Operator::modulo && left.text() != nullptr) {
    STERNA_TRY(Text result, format_percent(budget, *left.text(), right));
    return Value(std::move(result));
  }
  if (op == Operator::multiply) return multiply(budget, left, right);
  if (op != Operator::add) return unsupported(op, left, right);
  if (left.text() != nullptr && right.text() != nullptr)
    return concatenate(budget, *left.text(), *right.text());
  const Sequence* a = left.sequence();
  const Sequence* b = right.sequence();
  if (a != nullptr && b != nullptr && a->tuple == b->tuple) return add_sequences(budget, *a, *b);
  return unsupported(op, left, right);
}

Result<Value> negate(const Value& value) {
  if (const auto integer = value.integer()) {
    if (*integer == std::numeric_limits<std::int64_t>::min()) return overflow();
    return Value(-*integer);
  }
  if (const double* number = value.floating()) return Value(-*number);
  if (value.is_undefined()) return value.undefined_error();
  return fail("'-' is not supported for '{}'", type_name(value));
}

}  // namespace sterna::runtime::jinja
