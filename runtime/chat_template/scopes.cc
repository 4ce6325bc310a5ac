#include "runtime/chat_template/scopes.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "runtime/chat_template/environment.h"

namespace sterna::runtime::jinja {
namespace {

template <class Visit>
void for_each_child(const Expr& expr, const Visit& visit) {
  const auto call = [&](const ExprPtr& child) {
    if (child != nullptr) visit(*child);
  };
  for (const ExprPtr& item : expr.items) call(item);
  for (const ExprPtr& item : expr.arguments.positional) call(item);
  for (const auto& item : expr.arguments.named) call(item.second);
  call(expr.arguments.rest);
  call(expr.arguments.named_rest);
}

// Names of one scope and where a read of them leads while they are not assigned yet.
struct Symbols {
  enum class Origin { parameter, context, outer, unset };
  const Symbols* parent = nullptr;  // the scope around this one
  const Symbols* base = nullptr;    // within a branch of a condition: the same scope before the condition
  std::map<std::string, Origin, std::less<>> names;
  std::set<std::string, std::less<>> stores;

  [[nodiscard]] bool has_name(std::string_view name) const {
    return names.contains(name) || (base != nullptr && base->has_name(name));
  }
  [[nodiscard]] bool has_store(std::string_view name) const {
    return stores.contains(name) || (base != nullptr && base->has_store(name));
  }
  [[nodiscard]] bool known_outside(std::string_view name) const {
    return parent != nullptr && (parent->has_name(name) || parent->known_outside(name));
  }

  void load(const std::string& name) {
    if (!has_name(name) && !known_outside(name)) names[name] = Origin::context;
  }
  void store(const std::string& name) {
    stores.insert(name);
    if (!has_name(name)) names[name] = known_outside(name) ? Origin::outer : Origin::unset;
  }
  void declare(const std::string& name) {
    stores.insert(name);
    names[name] = Origin::parameter;
  }
  [[nodiscard]] Symbols branch() const { return {parent, this, {}, {}}; }
  // Joins the outcomes of the branches of a condition: what only some of them assign may still be the outer
  // variable.
  void join(const std::vector<Symbols>& branches) {
    std::set<std::string, std::less<>> assigned;
    for (const Symbols& branch : branches) {
      for (const std::string& name : branch.stores) {
        if (!has_store(name)) assigned.insert(name);
      }
    }
    for (const Symbols& branch : branches) {
      names.insert(branch.names.begin(), branch.names.end());
      stores.insert(branch.stores.begin(), branch.stores.end());
    }
    for (const std::string& name : assigned)
      names[name] = known_outside(name) ? Origin::outer : Origin::context;
  }
  [[nodiscard]] Scope scope() const {
    Scope result;
    for (const auto& [name, origin] : names) {
      if (origin == Origin::unset) result.unset.push_back(name);
    }
    return result;
  }
};

// Collects the names that a scope reads and assigns, in the order of its statements; bodies that are scopes
// of their own are left out.
class SymbolCollector {
 public:
  explicit SymbolCollector(Symbols& symbols) : symbols_(&symbols) {}

  void read(const Expr& expr) {
    if (expr.kind == Expr::Kind::name) symbols_->load(expr.name);
    for_each_child(expr, [&](const Expr& child) { read(child); });
  }
  void read(const ExprPtr& expr) {
    if (expr != nullptr) read(*expr);
  }
  void assign(const Expr& target, bool as_parameter) {
    if (target.kind == Expr::Kind::tuple) {
      for (const ExprPtr& item : target.items) assign(*item, as_parameter);
    } else if (target.kind == Expr::Kind::namespace_item) {
      symbols_->load(target.name);
    } else if (as_parameter) {
      symbols_->declare(target.name);
    } else {
      symbols_->store(target.name);
    }
  }
  void visit(const Body& body) {
    for (const StmtPtr& statement : body) visit(*statement);
  }

 private:
  void visit(const Stmt& statement) {
    switch (statement.kind) {
      case Stmt::Kind::output:
      case Stmt::Kind::loop:
      case Stmt::Kind::call:
      case Stmt::Kind::with:
        for (const ExprPtr& expr : statement.exprs) read(expr);
        break;
      case Stmt::Kind::assign:
        read(statement.exprs[0]);
        assign(*statement.target, false);
        break;
      case Stmt::Kind::set_block:
        assign(*statement.target, false);
        break;
      case Stmt::Kind::macro:
        symbols_->store(statement.name);
        break;
      case Stmt::Kind::filter:
        read(statement.filter);
        break;
      case Stmt::Kind::branch:
        visit_branches(statement);
        break;
      default:
        break;
    }
  }

  // if, elif ... as the nest of conditions that they are to Jinja: all elifs are one branch.
  void visit_branches(const Stmt& statement) {
    read(statement.branches[0].first);
    std::vector<Symbols> outcomes(3, symbols_->branch());
    within(outcomes[0], [&] { visit(statement.branches[0].second); });
    within(outcomes[1], [&] {
      for (std::size_t i = 1; i < statement.branches.size(); ++i) visit_elif(statement.branches[i]);
    });
    within(outcomes[2], [&] { visit(statement.otherwise); });
    symbols_->join(outcomes);
  }
  void visit_elif(const std::pair<ExprPtr, Body>& branch) {
    read(branch.first);
    std::vector<Symbols> outcome(1, symbols_->branch());
    within(outcome[0], [&] { visit(branch.second); });
    symbols_->join(outcome);
  }
  template <class Visit>
  void within(Symbols& symbols, const Visit& visit_part) {
    Symbols* const outer = std::exchange(symbols_, &symbols);
    visit_part();
    symbols_ = outer;
  }

  Symbols* symbols_;
};

// Which of the special names a macro reads without assigning them first.
class SpecialNames {
 public:
  std::set<std::string_view> sought = {"caller", "kwargs", "varargs"};
  std::set<std::string_view> found;

  void visit(const Body& body) {
    for (const StmtPtr& statement : body) visit(*statement);
  }

 private:
  void read(const Expr& expr) {
    if (expr.kind == Expr::Kind::name) note(expr.name, true);
    for_each_child(expr, [&](const Expr& child) { read(child); });
  }
  void read(const ExprPtr& expr) {
    if (expr != nullptr) read(*expr);
  }
  void assign(const Expr& target) {
    for (const ExprPtr& item : target.items) assign(*item);
    if (target.kind == Expr::Kind::name) note(target.name, false);
  }
  void note(std::string_view name, bool is_read) {
    const auto position = sought.find(name);
    if (position == sought.end()) return;
    if (is_read) {
      found.insert(*position);
    } else {
      sought.erase(position);
    }
  }
  // In the order in which Jinja's nodes have their children.
  void visit(const Stmt& statement) {
    if (statement.target != nullptr) assign(*statement.target);
    for (const auto& target : statement.targets) assign(*target);
    for (const ExprPtr& expr : statement.exprs) read(expr);
    for (const std::string& name : statement.parameters.names) note(name, false);
    for (const ExprPtr& expr : statement.parameters.defaults) read(expr);
    for (const auto& [condition, body] : statement.branches) {
      read(condition);
      visit(body);
    }
    visit(statement.body);
    visit(statement.otherwise);
    read(statement.condition);
    read(statement.filter);
  }
};

class Analyser {
 public:
  explicit Analyser(SyntaxError& error) : error_(error) {}

  bool run(Program& program) {
    Symbols symbols;
    SymbolCollector(symbols).visit(program.body);
    program.scope = symbols.scope();
    return visit(program.body, symbols, false);
  }

 private:
  bool fail_at(int line, std::string message) {
    error_ = {line, std::move(message)};
    return false;
  }

  bool check(const ExprPtr& expr, bool guarded) { return expr == nullptr || check(*expr, guarded); }
  bool check(const Expr& expr, bool guarded) {
    if (!guarded && expr.kind == Expr::Kind::filter && !filter_exists(expr.name)) {
      return fail_at(expr.line, fmt::format("unknown filter '{}'", expr.name));
    }
    if (!guarded && expr.kind == Expr::Kind::test && !test_exists(expr.name)) {
      return fail_at(expr.line, fmt::format("unknown test '{}'", expr.name));
    }
    bool good = true;
    const bool inside = guarded || expr.kind == Expr::Kind::conditional;
    for_each_child(expr, [&](const Expr& child) { good = good && check(child, inside); });
    return good;
  }

  bool visit(Body& body, const Symbols& symbols, bool guarded) {
    for (const StmtPtr& statement : body) {
      if (!visit(*statement, symbols, guarded)) return false;
    }
    return true;
  }

  bool visit(Stmt& statement, const Symbols& symbols, bool guarded) {
    for (const ExprPtr& expr : statement.exprs) {
      if (!check(expr, guarded)) return false;
    }
    if (!check_loop_name(statement)) return false;
    switch (statement.kind) {
      case Stmt::Kind::branch:
        return visit_branches(statement, symbols);
      case Stmt::Kind::loop:
        return visit_loop(statement, symbols);
      case Stmt::Kind::macro:
      case Stmt::Kind::call:
        return visit_macro(statement, symbols);
      case Stmt::Kind::set_block:
      case Stmt::Kind::filter:
      case Stmt::Kind::with:
      case Stmt::Kind::generation:
        return visit_block(statement, symbols);
      default:
        return true;
    }
  }

  // `loop` cannot be assigned to within a loop.
  bool check_loop_name(const Stmt& statement) {
    const bool in_loop = loops_ > 0 || statement.kind == Stmt::Kind::loop;
    if (!in_loop || statement.target == nullptr || !assigns_loop(*statement.target)) return true;
    return fail_at(statement.line, "within a loop, 'loop' cannot be assigned to");
  }
  static bool assigns_loop(const Expr& target) {
    if (target.kind == Expr::Kind::name) return target.name == "loop";
    return std::any_of(target.items.begin(), target.items.end(),
                       [](const ExprPtr& item) { return assigns_loop(*item); });
  }

  bool visit_branches(Stmt& statement, const Symbols& symbols) {
    for (auto& [condition, body] : statement.branches) {
      if (!check(condition, true) || !visit(body, symbols, true)) return false;
    }
    return visit(statement.otherwise, symbols, true);
  }

  bool visit_loop(Stmt& loop, const Symbols& symbols) {
    ++loops_;
    const bool good = visit_loop_parts(loop, symbols);
    --loops_;
    return good;
  }

  bool visit_loop_parts(Stmt& loop, const Symbols& symbols) {
    Symbols inner{&symbols, nullptr, {}, {}};
    inner.declare("loop");
    SymbolCollector collector(inner);
    collector.assign(*loop.target, true);
    collector.visit(loop.body);
    loop.scope = inner.scope();
    Symbols condition{&symbols, nullptr, {}, {}};
    SymbolCollector condition_collector(condition);
    condition_collector.assign(*loop.target, true);
    condition_collector.read(loop.condition);
    loop.condition_scope = condition.scope();
    Symbols otherwise{&symbols, nullptr, {}, {}};
    SymbolCollector(otherwise).visit(loop.otherwise);
    loop.otherwise_scope = otherwise.scope();
    return check(loop.condition, false) && visit(loop.body, inner, false) &&
           visit(loop.otherwise, otherwise, false);
  }

  bool visit_macro(Stmt& macro, const Symbols& symbols) {
    SpecialNames special;
    special.visit(macro.body);
    const Parameters& parameters = macro.parameters;
    const auto position = std::find(parameters.names.begin(), parameters.names.end(), "caller");
    const auto index = static_cast<std::size_t>(position - parameters.names.begin());
    macro.takes_caller = special.found.contains("caller");
    if (macro.takes_caller && position != parameters.names.end() &&
        index + parameters.defaults.size() < parameters.names.size()) {
      return fail_at(macro.line, "the parameter 'caller' needs a default");
    }
    const auto takes = [&](std::string_view name) {
      return special.found.contains(name) &&
             std::find(parameters.names.begin(), parameters.names.end(), name) == parameters.names.end();
    };
    macro.takes_kwargs = takes("kwargs");
    macro.takes_varargs = takes("varargs");
    Symbols inner{&symbols, nullptr, {}, {}};
    SymbolCollector collector(inner);
    for (const std::string& name : parameters.names) inner.declare(name);
    if (macro.takes_caller) inner.declare("caller");
    if (macro.takes_kwargs) inner.declare("kwargs");
    if (macro.takes_varargs) inner.declare("varargs");
    for (const ExprPtr& expr : parameters.defaults) {
      collector.read(expr);
      if (!check(expr, false)) return false;
    }
    collector.visit(macro.body);
    macro.scope = inner.scope();
    return visit(macro.body, inner, false);
  }

  bool visit_block(Stmt& block, const Symbols& symbols) {
    Symbols inner{&symbols, nullptr, {}, {}};
    SymbolCollector collector(inner);
    for (const ExprPtr& target : block.targets) collector.assign(*target, true);
    collector.visit(block.body);
    if (block.kind == Stmt::Kind::filter) collector.read(block.filter);
    block.scope = inner.scope();
    return check(block.filter, false) && visit(block.body, inner, false);
  }

  SyntaxError& error_;
  int loops_ = 0;
};

}  // namespace

bool analyse_scopes(Program& program, SyntaxError& error) { return Analyser(error).run(program); }

}  // namespace sterna::runtime::jinja
