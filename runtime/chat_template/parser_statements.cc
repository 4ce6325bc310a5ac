#include <array>
#include <optional>

#include "runtime/chat_template/parser_base.h"

namespace sterna::runtime::jinja {
namespace {

using Names = std::vector<std::string_view>;

std::string list_names(const Names& names) {
  std::string text;
  for (const std::string_view name : names) text += fmt::format("{}'{}'", text.empty() ? "" : " or ", name);
  return text;
}

class TemplateParser : public ExpressionParser {
 public:
  using ExpressionParser::ExpressionParser;

  bool parse(Body& body) { return parse_body({}, body); }

 private:
  // Statements up to a tag that is one of `ends`, which stays the current token; or to the end of the
  // template.
  bool parse_body(const Names& ends, Body& body) {
    const Level level(*this);
    if (!level.ok()) return false;
    while (true) {
      switch (current().kind) {
        case Token::Kind::data:
          parse_data(body);
          break;
        case Token::Kind::variable_begin:
          if (!parse_output(body)) return false;
          break;
        case Token::Kind::block_begin:
          next();
          if (at(Token::Kind::name) && std::find(ends.begin(), ends.end(), current().text) != ends.end())
            return true;
          if (!parse_statement(ends, body)) return false;
          break;
        default:
          if (ends.empty()) return true;
          return fail_at(current().line,
                         fmt::format("the template ends where {} is expected", list_names(ends)));
      }
    }
  }

  static StmtPtr make_statement(Stmt::Kind kind, int line) {
    auto statement = std::make_unique<Stmt>();
    statement->kind = kind;
    statement->line = line;
    return statement;
  }

  void parse_data(Body& body) {
    StmtPtr data = make_statement(Stmt::Kind::data, current().line);
    data->text = next().text;
    body.push_back(std::move(data));
  }

  bool parse_output(Body& body) {
    StmtPtr output = make_statement(Stmt::Kind::output, next().line);
    ExprPtr expr = parse_tuple(true);
    if (expr == nullptr || !expect_kind(Token::Kind::variable_end, "'}}'")) return false;
    output->exprs.push_back(std::move(expr));
    body.push_back(std::move(output));
    return true;
  }

  // Behind "{%", up to and with the "%}" of the last tag of the statement.
  bool parse_statement(const Names& ends, Body& body) {
    const Token& tag = current();
    if (tag.kind != Token::Kind::name)
      return fail_at(tag.line, fmt::format("expected the name of a tag, got {}", describe(tag)));
    using Parse = bool (TemplateParser::*)(Stmt&);
    struct Entry {
      std::string_view tag;
      Stmt::Kind kind;
      Parse parse;
    };
    static constexpr auto kTags = std::to_array<Entry>({
        {"for", Stmt::Kind::loop, &TemplateParser::parse_for},
        {"if", Stmt::Kind::branch, &TemplateParser::parse_if},
        {"set", Stmt::Kind::assign, &TemplateParser::parse_set},
        {"macro", Stmt::Kind::macro, &TemplateParser::parse_macro},
        {"call", Stmt::Kind::call, &TemplateParser::parse_call_block},
        {"filter", Stmt::Kind::filter, &TemplateParser::parse_filter_block},
        {"with", Stmt::Kind::with, &TemplateParser::parse_with},
        {"print", Stmt::Kind::output, &TemplateParser::parse_print},
        {"generation", Stmt::Kind::generation, &TemplateParser::parse_generation},
        {"break", Stmt::Kind::break_loop, &TemplateParser::parse_loop_control},
        {"continue", Stmt::Kind::continue_loop, &TemplateParser::parse_loop_control},
    });
    const auto* entry =
        std::find_if(kTags.begin(), kTags.end(), [&](const Entry& e) { return e.tag == tag.text; });
    if (entry == kTags.end()) {
      const std::string hint =
          ends.empty() ? "" : fmt::format("; the block that is open here ends with {}", list_names(ends));
      return fail_at(tag.line, fmt::format("unknown or unsupported tag '{}'{}", tag.text, hint));
    }
    next();
    StmtPtr statement = make_statement(entry->kind, tag.line);
    if (!(this->*entry->parse)(*statement) || !expect_kind(Token::Kind::block_end, "'%}'")) return false;
    body.push_back(std::move(statement));
    return true;
  }

  // The end of an opening tag, then its body; a colon before the end is allowed as in Python.
  bool parse_block(const Names& ends, Body& body) {
    skip_op(":");
    return expect_kind(Token::Kind::block_end, "'%}'") && parse_body(ends, body);
  }

  bool parse_for(Stmt& loop) {
    loop.target = parse_target(false, "in");
    if (loop.target == nullptr || !expect_name("in")) return false;
    ExprPtr iterable = parse_tuple(false, "recursive");
    if (iterable == nullptr) return false;
    loop.exprs.push_back(std::move(iterable));
    if (skip_name("if") && (loop.condition = parse_expression()) == nullptr) return false;
    loop.recursive = skip_name("recursive");
    ++loops_;
    const bool parsed = parse_block({"endfor", "else"}, loop.body);
    --loops_;
    if (!parsed) return false;
    if (next().text == "endfor") return true;
    const int outer = loops_;
    if (loop.recursive) loops_ = 0;  // the loop is a function of its own, out of which no break leads
    const bool otherwise = parse_block({"endfor"}, loop.otherwise);
    loops_ = outer;
    return otherwise && (next(), true);
  }

  bool parse_if(Stmt& statement) {
    while (true) {
      auto& [condition, body] = statement.branches.emplace_back();
      condition = parse_tuple(false);
      if (condition == nullptr || !parse_block({"elif", "else", "endif"}, body)) return false;
      const std::string end = next().text;
      if (end == "endif") return true;
      if (end == "else") return parse_block({"endif"}, statement.otherwise) && (next(), true);
    }
  }

  bool parse_set(Stmt& statement) {
    statement.target = parse_target(true);
    if (statement.target == nullptr) return false;
    if (skip_op("=")) {
      ExprPtr value = parse_tuple(true);
      if (value == nullptr) return false;
      statement.exprs.push_back(std::move(value));
      return true;
    }
    statement.kind = Stmt::Kind::set_block;
    if (at_op("|") && (statement.filter = parse_filters(nullptr, false)) == nullptr) return false;
    return parse_block({"endset"}, statement.body) && (next(), true);
  }

  // A body that becomes a function: no break or continue leads out of it.
  bool parse_function_body(const Names& ends, Body& body) {
    const int outer = std::exchange(loops_, 0);
    const bool parsed = parse_block(ends, body);
    loops_ = outer;
    return parsed && (next(), true);
  }

  bool parse_parameters(Parameters& parameters) {
    if (!expect_op("(")) return false;
    while (!at_op(")")) {
      if (!parameters.names.empty() && !expect_op(",")) return false;
      const Token& name = current();
      if (parameters.names.size() == kMostNames)
        return fail_at(name.line, fmt::format("a macro has more than {} parameters", kMostNames));
      if (!expect_kind(Token::Kind::name, "the name of a parameter")) return false;
      if (std::find(parameters.names.begin(), parameters.names.end(), name.text) != parameters.names.end()) {
        return fail_at(name.line, fmt::format("the parameter '{}' is there twice", name.text));
      }
      parameters.names.push_back(name.text);
      if (skip_op("=")) {
        ExprPtr value = parse_expression();
        if (value == nullptr) return false;
        parameters.defaults.push_back(std::move(value));
      } else if (!parameters.defaults.empty()) {
        return fail_at(name.line, "a parameter without a default follows one with a default");
      }
    }
    return expect_op(")");
  }

  bool parse_macro(Stmt& macro) {
    macro.name = current().text;
    if (!expect_kind(Token::Kind::name, "the name of a macro") || !parse_parameters(macro.parameters))
      return false;
    return parse_function_body({"endmacro"}, macro.body);
  }

  bool parse_call_block(Stmt& block) {
    if (at_op("(") && !parse_parameters(block.parameters)) return false;
    const int line = current().line;
    ExprPtr call = parse_expression();
    if (call == nullptr) return false;
    if (call->kind != Expr::Kind::call) return fail_at(line, "a call block needs a call");
    block.exprs.push_back(std::move(call));
    return parse_function_body({"endcall"}, block.body);
  }

  bool parse_filter_block(Stmt& block) {
    block.filter = parse_filters(nullptr, true);
    return block.filter != nullptr && parse_block({"endfilter"}, block.body) && (next(), true);
  }

  bool parse_with(Stmt& block) {
    while (!at(Token::Kind::block_end)) {
      if (!block.targets.empty() && !expect_op(",")) return false;
      ExprPtr target = parse_target(false);
      if (target == nullptr || !expect_op("=")) return false;
      ExprPtr value = parse_expression();
      if (value == nullptr) return false;
      block.targets.push_back(std::move(target));
      block.exprs.push_back(std::move(value));
    }
    return parse_block({"endwith"}, block.body) && (next(), true);
  }

  bool parse_print(Stmt& output) {
    while (!at(Token::Kind::block_end)) {
      if (!output.exprs.empty() && !expect_op(",")) return false;
      ExprPtr expr = parse_expression();
      if (expr == nullptr) return false;
      output.exprs.push_back(std::move(expr));
    }
    return true;
  }

  bool parse_generation(Stmt& block) { return parse_function_body({"endgeneration"}, block.body); }

  bool parse_loop_control(Stmt& statement) {
    if (loops_ > 0) return true;
    return fail_at(statement.line, "break and continue belong in a loop");
  }

  int loops_ = 0;
};

}  // namespace

bool parse_template(std::string_view source, std::size_t depth, Body& body, SyntaxError& error) {
  std::vector<Token> tokens;
  return tokenize(source, tokens, error) && TemplateParser(tokens, depth, error).parse(body);
}

}  // namespace sterna::runtime::jinja
