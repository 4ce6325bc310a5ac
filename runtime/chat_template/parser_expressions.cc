#include <array>
#include <optional>

#include "runtime/chat_template/parser_base.h"

namespace sterna::runtime::jinja {
namespace {

bool is_constant_name(std::string_view name) {
  return name == "true" || name == "false" || name == "none" || name == "True" || name == "False" ||
         name == "None";
}

std::optional<Operator> comparison_operator(const Token& token) {
  struct Entry {
    std::string_view symbol;
    Operator op;
  };
  constexpr auto kOperators = std::to_array<Entry>({{"==", Operator::equal},
                                                    {"!=", Operator::not_equal},
                                                    {"<", Operator::less},
                                                    {"<=", Operator::less_equal},
                                                    {">", Operator::greater},
                                                    {">=", Operator::greater_equal}});
  if (token.kind != Token::Kind::op) return std::nullopt;
  for (const Entry& entry : kOperators) {
    if (entry.symbol == token.text) return entry.op;
  }
  return std::nullopt;
}

std::optional<Operator> product_operator(const Token& token) {
  if (token.kind != Token::Kind::op) return std::nullopt;
  if (token.text == "*") return Operator::multiply;
  if (token.text == "/") return Operator::divide;
  if (token.text == "//") return Operator::floor_divide;
  if (token.text == "%") return Operator::modulo;
  return std::nullopt;
}

}  // namespace

bool ExpressionParser::at_tuple_end(std::string_view stop) const {
  return at(Token::Kind::variable_end) || at(Token::Kind::block_end) || at_op(")") ||
         (!stop.empty() && at_name(stop));
}

ExprPtr ExpressionParser::parse_tuple(bool with_condition, std::string_view stop, bool in_brackets) {
  ExprPtr tuple = make(Expr::Kind::tuple, current().line);
  bool is_tuple = false;
  while (true) {
    if (!tuple->items.empty() && !expect_op(",")) return nullptr;
    if (at_tuple_end(stop)) break;
    ExprPtr item = parse_expression(with_condition);
    if (item == nullptr) return nullptr;
    tuple->items.push_back(std::move(item));
    if (!at_op(",")) break;
    is_tuple = true;
  }
  if (!is_tuple && !tuple->items.empty()) return std::move(tuple->items.front());
  if (!is_tuple && !in_brackets)
    return null_at(current().line, fmt::format("expected an expression, got {}", describe(current())));
  return finish(std::move(tuple));
}

ExprPtr ExpressionParser::parse_target(bool with_namespace, std::string_view stop) {
  return parse_target_tuple(with_namespace, stop, false);
}

ExprPtr ExpressionParser::parse_target_tuple(bool with_namespace, std::string_view stop, bool in_brackets) {
  const Level level(*this);
  if (!level.ok()) return nullptr;
  ExprPtr tuple = make(Expr::Kind::tuple, current().line);
  bool is_tuple = false;
  while (true) {
    if (!tuple->items.empty() && !expect_op(",")) return nullptr;
    if (at_tuple_end(stop)) break;
    const Token& token = current();
    ExprPtr item;
    if (skip_op("(")) {
      item = parse_target_tuple(false, {}, true);
      if (item == nullptr || !expect_op(")")) return nullptr;
    } else if (token.kind != Token::Kind::name || is_constant_name(token.text)) {
      return null_at(token.line, fmt::format("cannot assign to {}", describe(token)));
    } else {
      item = parse_name(with_namespace);
    }
    if (item == nullptr) return nullptr;
    tuple->items.push_back(std::move(item));
    if (!at_op(",")) break;
    is_tuple = true;
  }
  if (!is_tuple && !tuple->items.empty()) return std::move(tuple->items.front());
  if (!is_tuple && !in_brackets) return null_at(current().line, "expected a name to assign to");
  return finish(std::move(tuple));
}

ExprPtr ExpressionParser::parse_expression(bool with_condition) {
  const Level level(*this);
  if (!level.ok()) return nullptr;
  ExprPtr expr = parse_or();
  while (with_condition && expr != nullptr && at_name("if")) {
    const int line = next().line;
    ExprPtr condition = parse_or();
    if (condition == nullptr) return nullptr;
    ExprPtr otherwise;
    if (skip_name("else")) {
      otherwise = parse_expression();
      if (otherwise == nullptr) return nullptr;
    }
    expr = finish(make_with(Expr::Kind::conditional, line, std::move(expr), std::move(condition),
                            std::move(otherwise)));
  }
  return expr;
}

ExprPtr ExpressionParser::parse_or() {
  ExprPtr left = parse_and();
  while (left != nullptr && at_name("or")) {
    const int line = next().line;
    ExprPtr right = parse_and();
    if (right == nullptr) return nullptr;
    left = finish(make_with(Expr::Kind::logical_or, line, std::move(left), std::move(right)));
  }
  return left;
}

ExprPtr ExpressionParser::parse_and() {
  ExprPtr left = parse_not();
  while (left != nullptr && at_name("and")) {
    const int line = next().line;
    ExprPtr right = parse_not();
    if (right == nullptr) return nullptr;
    left = finish(make_with(Expr::Kind::logical_and, line, std::move(left), std::move(right)));
  }
  return left;
}

ExprPtr ExpressionParser::parse_not() {
  if (!at_name("not")) return parse_comparison();
  const Level level(*this);
  if (!level.ok()) return nullptr;
  const int line = next().line;
  ExprPtr operand = parse_not();
  return operand == nullptr ? nullptr : finish(make_with(Expr::Kind::logical_not, line, std::move(operand)));
}

ExprPtr ExpressionParser::parse_comparison() {
  ExprPtr first = parse_sum();
  if (first == nullptr) return nullptr;
  ExprPtr chain = make(Expr::Kind::comparison, current().line);
  while (true) {
    auto op = comparison_operator(current());
    if (op) {
      next();
    } else if (skip_name("in")) {
      op = Operator::in;
    } else if (at_name("not") && ahead().kind == Token::Kind::name && ahead().text == "in") {
      next();
      next();
      op = Operator::not_in;
    } else {
      break;
    }
    ExprPtr right = parse_sum();
    if (right == nullptr) return nullptr;
    chain->ops.push_back(*op);
    chain->items.push_back(std::move(right));
  }
  if (chain->ops.empty()) return first;
  chain->items.insert(chain->items.begin(), std::move(first));
  return finish(std::move(chain));
}

ExprPtr ExpressionParser::parse_sum() {
  ExprPtr left = parse_concatenation();
  while (left != nullptr && (at_op("+") || at_op("-"))) {
    const Token& token = next();
    ExprPtr right = parse_concatenation();
    if (right == nullptr) return nullptr;
    left = make_with(Expr::Kind::arithmetic, token.line, std::move(left), std::move(right));
    left->op = token.text == "+" ? Operator::add : Operator::subtract;
    left = finish(std::move(left));
  }
  return left;
}

ExprPtr ExpressionParser::parse_concatenation() {
  ExprPtr first = parse_product();
  if (first == nullptr || !at_op("~")) return first;
  ExprPtr chain = make_with(Expr::Kind::concatenate, current().line, std::move(first));
  while (skip_op("~")) {
    ExprPtr operand = parse_product();
    if (operand == nullptr) return nullptr;
    chain->items.push_back(std::move(operand));
  }
  return finish(std::move(chain));
}

ExprPtr ExpressionParser::parse_product() {
  ExprPtr left = parse_power();
  while (left != nullptr) {
    const auto op = product_operator(current());
    if (!op) break;
    const int line = next().line;
    ExprPtr right = parse_power();
    if (right == nullptr) return nullptr;
    left = make_with(Expr::Kind::arithmetic, line, std::move(left), std::move(right));
    left->op = *op;
    left = finish(std::move(left));
  }
  return left;
}

ExprPtr ExpressionParser::parse_power() {
  ExprPtr left = parse_unary(true);
  while (left != nullptr && at_op("**")) {
    const int line = next().line;
    ExprPtr right = parse_unary(true);
    if (right == nullptr) return nullptr;
    left = make_with(Expr::Kind::arithmetic, line, std::move(left), std::move(right));
    left->op = Operator::power;
    left = finish(std::move(left));
  }
  return left;
}

ExprPtr ExpressionParser::parse_unary(bool with_filter) {
  const Level level(*this);
  if (!level.ok()) return nullptr;
  ExprPtr expr;
  if (at_op("-") || at_op("+")) {
    const Token& token = next();
    ExprPtr operand = parse_unary(false);
    if (operand == nullptr) return nullptr;
    expr = finish(
        make_with(token.text == "-" ? Expr::Kind::negate : Expr::Kind::plus, token.line, std::move(operand)));
  } else {
    expr = parse_primary(false);
  }
  if (expr != nullptr) expr = parse_postfix(std::move(expr));
  return expr != nullptr && with_filter ? parse_filter_expression(std::move(expr)) : std::move(expr);
}

ExprPtr ExpressionParser::parse_primary(bool with_namespace) {
  const Token& token = current();
  switch (token.kind) {
    case Token::Kind::name:
      return parse_name(with_namespace);
    case Token::Kind::string:
    case Token::Kind::integer:
    case Token::Kind::floating:
      return parse_constant();
    default:
      break;
  }
  if (at_op("[")) return parse_list();
  if (at_op("{")) return parse_dict();
  if (!skip_op("(")) return null_at(token.line, fmt::format("unexpected {}", describe(token)));
  ExprPtr inner = parse_tuple(true, {}, true);
  return inner != nullptr && expect_op(")") ? std::move(inner) : nullptr;
}

ExprPtr ExpressionParser::parse_name(bool with_namespace) {
  const Token& token = next();
  if (is_constant_name(token.text)) {
    ExprPtr constant = make(Expr::Kind::constant, token.line);
    const char first = static_cast<char>(token.text[0] | 0x20);
    constant->constant = first == 'n' ? Value(None{}) : Value(first == 't');
    return constant;
  }
  const bool item = with_namespace && skip_op(".");
  ExprPtr name = make(item ? Expr::Kind::namespace_item : Expr::Kind::name, token.line);
  name->name = token.text;
  if (item) {
    name->attribute = current().text;
    if (!expect_kind(Token::Kind::name, "a name")) return nullptr;
  }
  return name;
}

ExprPtr ExpressionParser::parse_constant() {
  const Token& token = next();
  ExprPtr constant = make(Expr::Kind::constant, token.line);
  if (token.kind == Token::Kind::integer) {
    constant->constant = Value(token.integer);
  } else if (token.kind == Token::Kind::floating) {
    constant->constant = Value(token.number);
  } else {
    std::string text = token.text;
    while (at(Token::Kind::string)) text += next().text;  // adjacent strings are one
    constant->constant = Value(Text(std::move(text)));
  }
  return constant;
}

ExprPtr ExpressionParser::parse_list() {
  ExprPtr list = make(Expr::Kind::list, next().line);
  while (!at_op("]")) {
    if (!list->items.empty() && !expect_op(",")) return nullptr;
    if (at_op("]")) break;
    ExprPtr item = parse_expression();
    if (item == nullptr) return nullptr;
    list->items.push_back(std::move(item));
  }
  next();
  return finish(std::move(list));
}

ExprPtr ExpressionParser::parse_dict() {
  ExprPtr dict = make(Expr::Kind::dict, next().line);
  while (!at_op("}")) {
    if (!dict->items.empty() && !expect_op(",")) return nullptr;
    if (at_op("}")) break;
    ExprPtr key = parse_expression();
    if (key == nullptr || !expect_op(":")) return nullptr;
    ExprPtr value = parse_expression();
    if (value == nullptr) return nullptr;
    dict->items.push_back(std::move(key));
    dict->items.push_back(std::move(value));
  }
  next();
  return finish(std::move(dict));
}

ExprPtr ExpressionParser::parse_postfix(ExprPtr expr) {
  while (expr != nullptr) {
    if (at_op(".")) {
      expr = parse_attribute(std::move(expr));
    } else if (at_op("[")) {
      expr = parse_subscript(std::move(expr));
    } else if (at_op("(")) {
      expr = parse_call(std::move(expr));
    } else {
      break;
    }
  }
  return expr;
}

ExprPtr ExpressionParser::parse_attribute(ExprPtr expr) {
  const int line = next().line;
  const Token& token = next();
  if (token.kind == Token::Kind::name) {
    ExprPtr attribute = make_with(Expr::Kind::attribute, line, std::move(expr));
    attribute->name = token.text;
    return finish(std::move(attribute));
  }
  if (token.kind != Token::Kind::integer)
    return null_at(token.line, "expected a name or a number behind '.'");
  ExprPtr index = make(Expr::Kind::constant, token.line);
  index->constant = Value(token.integer);
  return finish(make_with(Expr::Kind::item, line, std::move(expr), std::move(index)));
}

ExprPtr ExpressionParser::parse_subscript(ExprPtr expr) {
  const int line = next().line;
  ExprPtr tuple = make(Expr::Kind::tuple, line);
  while (!at_op("]")) {
    if (!tuple->items.empty() && !expect_op(",")) return nullptr;
    ExprPtr index = parse_index();
    if (index == nullptr) return nullptr;
    tuple->items.push_back(std::move(index));
  }
  next();
  const auto is_slice = [](const ExprPtr& item) { return item->kind == Expr::Kind::slice; };
  if (tuple->items.size() == 1 && is_slice(tuple->items[0])) {
    ExprPtr slice = std::move(tuple->items[0]);
    slice->items.insert(slice->items.begin(), std::move(expr));
    return finish(std::move(slice));
  }
  if (std::any_of(tuple->items.begin(), tuple->items.end(), is_slice))
    return null_at(line, "a slice cannot stand in a tuple");
  ExprPtr index = tuple->items.size() == 1 ? std::move(tuple->items[0]) : finish(std::move(tuple));
  if (index == nullptr) return nullptr;
  return finish(make_with(Expr::Kind::item, line, std::move(expr), std::move(index)));
}

// An expression, or the three bounds of a slice.
ExprPtr ExpressionParser::parse_index() {
  ExprPtr start;
  if (!at_op(":")) {
    start = parse_expression();
    if (start == nullptr || !at_op(":")) return start;
  }
  ExprPtr slice = make_with(Expr::Kind::slice, next().line, std::move(start));
  const auto bound_absent = [&] { return at_op("]") || at_op(",") || at_op(":"); };
  ExprPtr stop;
  if (!bound_absent() && (stop = parse_expression()) == nullptr) return nullptr;
  ExprPtr step;
  if (skip_op(":") && !at_op("]") && !at_op(",") && (step = parse_expression()) == nullptr) return nullptr;
  slice->items.push_back(std::move(stop));
  slice->items.push_back(std::move(step));
  return slice;
}

ExprPtr ExpressionParser::parse_call(ExprPtr expr) {
  ExprPtr call = make_with(Expr::Kind::call, current().line, std::move(expr));
  return parse_arguments(call->arguments) ? finish(std::move(call)) : nullptr;
}

bool ExpressionParser::parse_arguments(CallArguments& arguments) {
  const int line = current().line;
  if (!expect_op("(")) return false;
  for (bool first = true; !at_op(")"); first = false) {
    if (!first && !expect_op(",")) return false;
    if (!first && at_op(")")) break;
    if (!parse_argument(arguments, line)) return false;
  }
  return expect_op(")");
}

bool ExpressionParser::parse_argument(CallArguments& arguments, int line) {
  if (arguments.named.size() == kMostNames)
    return fail_at(line, fmt::format("a call has more than {} named arguments", kMostNames));
  const auto misplaced = [&] { return fail_at(line, "a call has its arguments in the wrong order"); };
  if (skip_op("*")) {
    if (arguments.rest != nullptr || arguments.named_rest != nullptr) return misplaced();
    return (arguments.rest = parse_expression()) != nullptr;
  }
  if (skip_op("**")) {
    if (arguments.named_rest != nullptr) return misplaced();
    return (arguments.named_rest = parse_expression()) != nullptr;
  }
  if (at(Token::Kind::name) && ahead().kind == Token::Kind::op && ahead().text == "=") {
    if (arguments.named_rest != nullptr) return misplaced();
    const std::string name = next().text;
    next();
    for (const auto& other : arguments.named) {
      if (other.first == name) return fail_at(line, fmt::format("a call gives '{}' twice", name));
    }
    ExprPtr value = parse_expression();
    if (value == nullptr) return false;
    arguments.named.emplace_back(name, std::move(value));
    return true;
  }
  if (arguments.rest != nullptr || arguments.named_rest != nullptr || !arguments.named.empty())
    return misplaced();
  ExprPtr value = parse_expression();
  if (value == nullptr) return false;
  arguments.positional.push_back(std::move(value));
  return true;
}

bool ExpressionParser::parse_dotted_name(std::string& name) {
  name = current().text;
  if (!expect_kind(Token::Kind::name, "a name")) return false;
  while (skip_op(".")) {
    name += "." + current().text;
    if (!expect_kind(Token::Kind::name, "a name")) return false;
  }
  return true;
}

ExprPtr ExpressionParser::parse_filters(ExprPtr input, bool inline_start) {
  while (inline_start || at_op("|")) {
    if (!inline_start) next();
    inline_start = false;
    ExprPtr filter = make_with(Expr::Kind::filter, current().line, std::move(input));
    if (!parse_dotted_name(filter->name)) return nullptr;
    if (at_op("(") && !parse_arguments(filter->arguments)) return nullptr;
    input = finish(std::move(filter));
    if (input == nullptr) return nullptr;
  }
  return input;
}

ExprPtr ExpressionParser::parse_filter_expression(ExprPtr expr) {
  while (expr != nullptr) {
    if (at_op("|")) {
      expr = parse_filters(std::move(expr), false);
    } else if (at_name("is")) {
      expr = parse_test(std::move(expr));
    } else if (at_op("(")) {
      expr = parse_call(std::move(expr));
    } else {
      break;
    }
  }
  return expr;
}

bool ExpressionParser::at_test_argument() const {
  switch (current().kind) {
    case Token::Kind::name:
      return !at_name("else") && !at_name("or") && !at_name("and");
    case Token::Kind::string:
    case Token::Kind::integer:
    case Token::Kind::floating:
      return true;
    default:
      return at_op("[") || at_op("{");
  }
}

ExprPtr ExpressionParser::parse_test(ExprPtr expr) {
  const int line = next().line;
  const bool negated = skip_name("not");
  ExprPtr test = make_with(Expr::Kind::test, line, std::move(expr));
  if (!parse_dotted_name(test->name)) return nullptr;
  if (at_op("(")) {
    if (!parse_arguments(test->arguments)) return nullptr;
  } else if (at_test_argument()) {
    if (at_name("is")) return null_at(line, "tests with 'is' cannot be chained");
    ExprPtr argument = parse_primary(false);
    if (argument != nullptr) argument = parse_postfix(std::move(argument));
    if (argument == nullptr) return nullptr;
    test->arguments.positional.push_back(std::move(argument));
  }
  test = finish(std::move(test));
  if (test == nullptr || !negated) return test;
  return finish(make_with(Expr::Kind::logical_not, line, std::move(test)));
}

}  // namespace sterna::runtime::jinja
