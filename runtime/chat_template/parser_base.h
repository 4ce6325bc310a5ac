// What the two halves of the parser (expressions, statements) share: the token stream, errors, the depth
// limit.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/chat_template/ast.h"
#include "runtime/chat_template/lexer.h"
#include "runtime/chat_template/parser.h"

namespace sterna::runtime::jinja {

// Parameters of a macro and named arguments of a call; keeps the searches among them short.
inline constexpr std::size_t kMostNames = 255;

// A parsing function returns null (or false) after it has reported an error.
class ParserBase {
 public:
  ParserBase(const std::vector<Token>& tokens, std::size_t depth, SyntaxError& error)
      : tokens_(tokens), depth_(depth), error_(error) {}

 protected:
  [[nodiscard]] const Token& current() const { return tokens_[at_]; }
  [[nodiscard]] const Token& ahead() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  const Token& next() {
    const Token& token = tokens_[at_];
    if (at_ + 1 < tokens_.size()) ++at_;
    return token;
  }
  [[nodiscard]] bool at(Token::Kind kind) const { return current().kind == kind; }
  [[nodiscard]] bool at_op(std::string_view op) const { return at(Token::Kind::op) && current().text == op; }
  [[nodiscard]] bool at_name(std::string_view name) const {
    return at(Token::Kind::name) && current().text == name;
  }
  bool skip_op(std::string_view op) { return at_op(op) && (next(), true); }
  bool skip_name(std::string_view name) { return at_name(name) && (next(), true); }

  bool fail_at(int line, std::string message) {
    error_ = {line, std::move(message)};
    return false;
  }
  std::nullptr_t null_at(int line, std::string message) {
    fail_at(line, std::move(message));
    return nullptr;
  }
  static std::string describe(const Token& token) {
    switch (token.kind) {
      case Token::Kind::name:
      case Token::Kind::op:
        return fmt::format("'{}'", token.text);
      case Token::Kind::string:
        return "a string";
      case Token::Kind::integer:
      case Token::Kind::floating:
        return "a number";
      case Token::Kind::variable_end:
        return "'}}'";
      case Token::Kind::block_end:
        return "'%}'";
      case Token::Kind::end:
        return "the end of the template";
      default:
        return "text";
    }
  }
  bool expect_op(std::string_view op) {
    return skip_op(op) ||
           fail_at(current().line, fmt::format("expected '{}', got {}", op, describe(current())));
  }
  bool expect_name(std::string_view name) {
    return skip_name(name) ||
           fail_at(current().line, fmt::format("expected '{}', got {}", name, describe(current())));
  }
  bool expect_kind(Token::Kind kind, std::string_view what) {
    if (at(kind)) return next(), true;
    return fail_at(current().line, fmt::format("expected {}, got {}", what, describe(current())));
  }

  // One level of recursion of the parser, given back at the end of the scope.
  class Level {
   public:
    explicit Level(ParserBase& parser) : parser_(parser) { ++parser_.level_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;
    ~Level() { --parser_.level_; }
    [[nodiscard]] bool ok() const {
      if (parser_.level_ <= parser_.depth_) return true;
      return parser_.fail_at(parser_.current().line,
                             fmt::format("nested more than {} levels deep", parser_.depth_));
    }

   private:
    ParserBase& parser_;
  };

  static ExprPtr make(Expr::Kind kind, int line) {
    auto expr = std::make_unique<Expr>();
    expr->kind = kind;
    expr->line = line;
    return expr;
  }
  template <class... Items>
  static ExprPtr make_with(Expr::Kind kind, int line, Items... items) {
    ExprPtr expr = make(kind, line);
    (expr->items.push_back(std::move(items)), ...);
    return expr;
  }
  // Sets the depth of a finished node; null if it is too deep.
  ExprPtr finish(ExprPtr expr) {
    const auto include = [&](const ExprPtr& child) {
      if (child != nullptr) expr->depth = std::max(expr->depth, 1 + child->depth);
    };
    for (const ExprPtr& item : expr->items) include(item);
    for (const ExprPtr& item : expr->arguments.positional) include(item);
    for (const auto& item : expr->arguments.named) include(item.second);
    include(expr->arguments.rest);
    include(expr->arguments.named_rest);
    const std::size_t limit = kTreeLevelsPerDepth * depth_;
    if (expr->depth > limit)
      return null_at(expr->line, fmt::format("an expression has more than {} levels of operators", limit));
    return expr;
  }

 private:
  const std::vector<Token>& tokens_;
  std::size_t depth_;
  SyntaxError& error_;
  std::size_t at_ = 0;
  std::size_t level_ = 0;
};

class ExpressionParser : public ParserBase {
 public:
  using ParserBase::ParserBase;

 protected:
  // A tuple without brackets, or a single expression. `stop` (may be empty) is a name that ends it.
  ExprPtr parse_tuple(bool with_condition, std::string_view stop = {}, bool in_brackets = false);
  ExprPtr parse_expression(bool with_condition = true);
  // Names, tuples of names and, with `with_namespace`, attributes of names.
  ExprPtr parse_target(bool with_namespace, std::string_view stop = {});
  // `| filter | filter ...` around `input`, which is null for the filters of a block; `inline_start` if the
  // first filter comes without its |.
  ExprPtr parse_filters(ExprPtr input, bool inline_start);

 private:
  ExprPtr parse_target_tuple(bool with_namespace, std::string_view stop, bool in_brackets);
  ExprPtr parse_or();
  ExprPtr parse_and();
  ExprPtr parse_not();
  ExprPtr parse_comparison();
  ExprPtr parse_sum();
  ExprPtr parse_concatenation();
  ExprPtr parse_product();
  ExprPtr parse_power();
  ExprPtr parse_unary(bool with_filter);
  ExprPtr parse_primary(bool with_namespace);
  ExprPtr parse_name(bool with_namespace);
  ExprPtr parse_constant();
  ExprPtr parse_list();
  ExprPtr parse_dict();
  ExprPtr parse_postfix(ExprPtr expr);
  ExprPtr parse_attribute(ExprPtr expr);
  ExprPtr parse_subscript(ExprPtr expr);
  ExprPtr parse_index();
  ExprPtr parse_call(ExprPtr expr);
  ExprPtr parse_filter_expression(ExprPtr expr);
  ExprPtr parse_test(ExprPtr expr);
  bool parse_arguments(CallArguments& arguments);
  bool parse_argument(CallArguments& arguments, int line);
  bool parse_dotted_name(std::string& name);
  [[nodiscard]] bool at_tuple_end(std::string_view stop) const;
  [[nodiscard]] bool at_test_argument() const;
};

}  // namespace sterna::runtime::jinja
