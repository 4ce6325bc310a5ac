// The tests of the template language: what may stand behind `is`.
#include <algorithm>
#include <array>

#include "runtime/chat_template/arguments.h"
#include "runtime/chat_template/environment.h"
#include "runtime/chat_template/methods.h"
#include "runtime/chat_template/operations.h"
#include "runtime/chat_template/printing.h"
#include "runtime/chat_template/unicode.h"

namespace sterna::runtime::jinja {
namespace {

using Predicate = Result<bool> (*)(Environment&, const Value&, const Arguments&);

bool is_defined(const Value& v) { return !v.is_undefined(); }
bool is_undefined(const Value& v) { return v.is_undefined(); }
bool is_none(const Value& v) { return v.is_none(); }
bool is_boolean(const Value& v) { return v.boolean() != nullptr; }
bool is_true(const Value& v) { return v.boolean() != nullptr && *v.boolean(); }
bool is_false(const Value& v) { return v.boolean() != nullptr && !*v.boolean(); }
bool is_integer(const Value& v) { return v.plain_integer() != nullptr; }
bool is_float(const Value& v) { return v.floating() != nullptr; }
bool is_number(const Value& v) { return v.is_number(); }
bool is_string(const Value& v) { return v.text() != nullptr; }
bool is_mapping(const Value& v) { return v.mapping() != nullptr; }
bool is_escaped(const Value& v) { return v.text() != nullptr && v.text()->markup(); }

// Something with a length and elements under an index.
bool is_sequence(const Value& v) { return length(v).has_value() && v.object_as<View>() == nullptr; }

bool is_iterable(const Value& v) {
  const Object* object = v.object();
  return length(v).has_value() || (object != nullptr && (object->kind == Object::Kind::iterator ||
                                                         object->kind == Object::Kind::loop));
}

bool is_callable(const Value& v) {
  if (v.is_undefined()) return true;  // calling it is what reports the error
  const Object* object = v.object();
  if (object == nullptr) return false;
  switch (object->kind) {
    case Object::Kind::loop:
    case Object::Kind::joiner:
    case Object::Kind::macro:
    case Object::Kind::method:
    case Object::Kind::function:
      return true;
    default:
      return false;
  }
}

template <bool (*test)(const Value&)>
Result<bool> simple(Environment& /*env*/, const Value& value, const Arguments& arguments) {
  if (!arguments.positional.empty() || !arguments.named.empty()) return fail("the test takes no arguments");
  return test(value);
}

template <Operator op>
Result<bool> comparison(Environment& env, const Value& value, const Arguments& arguments) {
  STERNA_TRY(const Bound bound, Bound::bind("the test", arguments, {"other"}, 1));
  return compare(env.budget, op, value, *bound[0]);
}

Result<bool> same_as(Environment& env, const Value& value, const Arguments& arguments) {
  STERNA_TRY(const Bound bound, Bound::bind("the test sameas", arguments, {"other"}, 1));
  if (value.text() != nullptr) STERNA_CHECK(env.budget.spend_search(value.text()->size(), 0));
  return value.same_as(*bound[0]);
}

Result<bool> remainder_is(Budget& budget, const Value& value, const Value& divisor, std::int64_t expected) {
  STERNA_TRY(const Value rest, arithmetic(budget, Operator::modulo, value, divisor));
  return equal(budget, rest, Value(expected));
}

template <std::int64_t expected>
Result<bool> parity(Environment& env, const Value& value, const Arguments& arguments) {
  STERNA_TRY([[maybe_unused]] const Bound bound, Bound::bind("the test", arguments, {}));
  return remainder_is(env.budget, value, Value(std::int64_t{2}), expected);
}

Result<bool> divisible_by(Environment& env, const Value& value, const Arguments& arguments) {
  STERNA_TRY(const Bound bound, Bound::bind("the test divisibleby", arguments, {"num"}, 1));
  return remainder_is(env.budget, value, *bound[0], 0);
}

template <bool upper>
Result<bool> cased(Environment& env, const Value& value, const Arguments& arguments) {
  STERNA_TRY(Text text, to_text(env.budget, value));
  STERNA_TRY(const Value result,
             string_method(upper ? "isupper" : "islower")(env, Value(std::move(text)), arguments));
  return truth(result);
}

template <bool (*exists)(std::string_view)>
Result<bool> known_name(Environment& env, const Value& value, const Arguments& /*arguments*/) {
  STERNA_CHECK(check_hashable(env.budget, value));
  return value.text() != nullptr && exists(value.text()->view());
}

struct NamedPredicate {
  std::string_view name;
  Predicate predicate;
};

constexpr auto kPredicates = std::to_array<NamedPredicate>({
    {"!=", comparison<Operator::not_equal>},
    {"<", comparison<Operator::less>},
    {"<=", comparison<Operator::less_equal>},
    {"==", comparison<Operator::equal>},
    {">", comparison<Operator::greater>},
    {">=", comparison<Operator::greater_equal>},
    {"boolean", simple<is_boolean>},
    {"callable", simple<is_callable>},
    {"defined", simple<is_defined>},
    {"divisibleby", divisible_by},
    {"eq", comparison<Operator::equal>},
    {"equalto", comparison<Operator::equal>},
    {"escaped", simple<is_escaped>},
    {"even", parity<0>},
    {"false", simple<is_false>},
    {"filter", known_name<filter_exists>},
    {"float", simple<is_float>},
    {"ge", comparison<Operator::greater_equal>},
    {"greaterthan", comparison<Operator::greater>},
    {"gt", comparison<Operator::greater>},
    {"in", comparison<Operator::in>},
    {"integer", simple<is_integer>},
    {"iterable", simple<is_iterable>},
    {"le", comparison<Operator::less_equal>},
    {"lessthan", comparison<Operator::less>},
    {"lower", cased<false>},
    {"lt", comparison<Operator::less>},
    {"mapping", simple<is_mapping>},
    {"ne", comparison<Operator::not_equal>},
    {"none", simple<is_none>},
    {"number", simple<is_number>},
    {"odd", parity<1>},
    {"sameas", same_as},
    {"sequence", simple<is_sequence>},
    {"string", simple<is_string>},
    {"test", known_name<test_exists>},
    {"true", simple<is_true>},
    {"undefined", simple<is_undefined>},
    {"upper", cased<true>},
});

Predicate find_predicate(std::string_view name) {
  const auto* found = std::find_if(kPredicates.begin(), kPredicates.end(),
                                   [&](const NamedPredicate& p) { return p.name == name; });
  return found == kPredicates.end() ? nullptr : found->predicate;
}

}  // namespace

bool test_exists(std::string_view name) { return find_predicate(name) != nullptr; }

Result<bool> apply_test(Environment& env, std::string_view name, const Value& input,
                        const Arguments& arguments) {
  STERNA_CHECK(env.budget.spend(1));
  const Predicate predicate = find_predicate(name);
  if (predicate == nullptr) return fail("unknown test '{}'", excerpt(name));
  return predicate(env, input, arguments);
}

}  // namespace sterna::runtime::jinja
