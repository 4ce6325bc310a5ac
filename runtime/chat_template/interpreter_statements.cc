#include <fmt/format.h>

#include <algorithm>

#include "runtime/chat_template/interpreter_base.h"
#include "runtime/chat_template/operations.h"
#include "runtime/chat_template/printing.h"

namespace sterna::runtime::jinja {

Value* Frame::find(std::string_view name) {
  const auto found = std::find_if(variables.begin(), variables.end(),
                                  [&](const auto& variable) { return variable.first == name; });
  return found == variables.end() ? nullptr : &found->second;
}

void Frame::set(std::string_view name, Value value) {
  if (Value* existing = find(name)) {
    *existing = std::move(value);
  } else {
    variables.emplace_back(name, std::move(value));
  }
}

Interpreter::Interpreter(Environment& env, const NamedValues& context, std::size_t levels)
    : env_(env), context_(context), levels_left_(levels) {}

// Takes cycles apart: macros that a scope holds hold the scope, and namespaces can hold anything.
Interpreter::~Interpreter() {
  for (const FramePtr& frame : captured_) frame->variables.clear();
  for (const auto& space : env_.namespaces) space->attributes.clear();
}

void Interpreter::capture(const FramePtr& frame) {
  if (frame->captured) return;
  frame->captured = true;
  captured_.push_back(frame);
}

Result<Text> Interpreter::run(const Program& program) {
  frame_ = open_frame(program.scope, nullptr);
  Capture capture(*this);
  STERNA_TRY([[maybe_unused]] const Flow flow, exec(program.body));
  return capture.take();
}

FramePtr Interpreter::open_frame(const Scope& scope, const FramePtr& parent) const {
  auto frame = std::make_shared<Frame>();
  frame->parent = parent;
  for (const std::string& name : scope.unset) {
    frame->variables.emplace_back(name, Value::undefined(fmt::format("'{}' is undefined", name)));
  }
  return frame;
}

Result<Interpreter::Flow> Interpreter::exec(const Body& body) {
  for (const StmtPtr& statement : body) {
    STERNA_TRY(const Flow flow, exec(*statement));
    if (flow != Flow::normal) return flow;
  }
  return Flow::normal;
}

Result<Interpreter::Flow> Interpreter::exec(const Stmt& statement) {
  const Level level(*this);
  Result<Flow> result = [&]() -> Result<Flow> {
    STERNA_CHECK(level.check());
    STERNA_CHECK(env_.budget.spend(1));
    return exec_statement(statement);
  }();
  if (!result && error_line_ == 0) error_line_ = statement.line;
  return result;
}

Result<Interpreter::Flow> Interpreter::exec_statement(const Stmt& statement) {
  switch (statement.kind) {
    case Stmt::Kind::set_block:
      return exec_set_block(statement);
    case Stmt::Kind::loop:
      return exec_loop(statement);
    case Stmt::Kind::branch:
      return exec_branch(statement);
    case Stmt::Kind::filter:
      return exec_filter(statement);
    case Stmt::Kind::with:
      return exec_with(statement);
    case Stmt::Kind::generation:
      return exec_in_scope(statement.scope, statement.body);
    case Stmt::Kind::break_loop:
      return Flow::break_loop;
    case Stmt::Kind::continue_loop:
      return Flow::continue_loop;
    case Stmt::Kind::data:
      STERNA_CHECK(write(Text(statement.text)));
      break;
    case Stmt::Kind::output:
      STERNA_CHECK(exec_output(statement));
      break;
    case Stmt::Kind::assign:
      STERNA_CHECK(exec_assign(statement));
      break;
    case Stmt::Kind::macro:
      frame_->set(statement.name, make_macro(statement));
      break;
    case Stmt::Kind::call:
      STERNA_CHECK(exec_call(statement));
      break;
  }
  return Flow::normal;
}

Status Interpreter::write(const Text& text) {
  STERNA_CHECK(env_.budget.spend_growth(out_->cost(), out_->cost() + text.cost()));
  out_->append(text);
  return {};
}

Status Interpreter::write(const Value& value) {
  if (const Text* text = value.text()) return write(*text);
  STERNA_TRY(const Text text, to_text(env_.budget, value));
  return write(text);
}

Status Interpreter::exec_output(const Stmt& statement) {
  for (const ExprPtr& expr : statement.exprs) {
    STERNA_TRY(const Value value, eval(*expr));
    STERNA_CHECK(write(value));
  }
  return {};
}

Status Interpreter::exec_assign(const Stmt& statement) {
  STERNA_TRY(const Value value, eval(*statement.exprs[0]));
  return assign(*statement.target, value);
}

Status Interpreter::assign(const Expr& target, const Value& value) {
  if (target.kind == Expr::Kind::tuple) return assign_tuple(target, value);
  if (target.kind == Expr::Kind::namespace_item) return assign_namespace_item(target, value);
  STERNA_CHECK(env_.budget.spend(frame_->variables.size() / 32));
  frame_->set(target.name, value);
  return {};
}

Status Interpreter::assign_tuple(const Expr& target, const Value& value) {
  STERNA_TRY(const std::vector<Value> items, iterate(env_.budget, value));
  if (items.size() != target.items.size()) {
    return fail("{} values cannot be assigned to {} names", items.size(), target.items.size());
  }
  for (std::size_t i = 0; i < items.size(); ++i) STERNA_CHECK(assign(*target.items[i], items[i]));
  return {};
}

Status Interpreter::assign_namespace_item(const Expr& target, const Value& value) {
  STERNA_TRY(const Value holder, eval_name(target));
  auto* space = holder.object_as<Namespace>();
  if (space == nullptr)
    return fail("attributes of a {} cannot be assigned, only those of a namespace()", type_name(holder));
  const std::string& name = target.attribute;
  if (name.starts_with('_')) return fail("a namespace takes no name that begins with '_': '{}'", name);
  STERNA_CHECK(env_.budget.spend(space->attributes.size() / 32));
  const auto found = std::find_if(space->attributes.begin(), space->attributes.end(),
                                  [&](const auto& attribute) { return attribute.first.view() == name; });
  if (found != space->attributes.end()) {
    found->second = value;
  } else {
    space->attributes.emplace_back(Text(name), value);
  }
  return {};
}

Result<Value> Interpreter::apply_block_filter(const ExprPtr& filter, Text text) {
  if (filter == nullptr) return Value(std::move(text));
  Value outer = std::exchange(block_text_, Value(std::move(text)));
  Result<Value> result = eval(*filter);
  block_text_ = std::move(outer);
  return result;
}

Result<Interpreter::Flow> Interpreter::exec_set_block(const Stmt& statement) {
  std::optional<Value> value;
  {
    const EnterFrame entered(*this, open_frame(statement.scope, frame_));
    Capture capture(*this);
    STERNA_TRY(const Flow flow, exec(statement.body));
    if (flow != Flow::normal) return flow;
    STERNA_TRY(value, apply_block_filter(statement.filter, capture.take()));
  }
  STERNA_CHECK(assign(*statement.target, *value));
  return Flow::normal;
}

Result<Interpreter::Flow> Interpreter::exec_branch(const Stmt& statement) {
  for (const auto& [condition, body] : statement.branches) {
    STERNA_TRY(const Value value, eval(*condition));
    if (truth(value)) return exec(body);
  }
  return exec(statement.otherwise);
}

Result<Interpreter::Flow> Interpreter::exec_loop(const Stmt& statement) {
  STERNA_TRY(const Value iterable, eval(*statement.exprs[0]));
  return run_loop(statement, iterable, frame_, 0);
}

Result<Interpreter::Flow> Interpreter::run_loop(const Stmt& statement, const Value& iterable,
                                                const FramePtr& outer, std::int64_t depth0) {
  const Level level(*this);
  STERNA_CHECK(level.check());
  auto loop = std::make_shared<Loop>();
  loop->interpreter = this;
  loop->statement = &statement;
  loop->outer = outer;  // kept: the argument may be this interpreter's own frame_, which changes
  const EnterFrame entered(*this, loop->outer);
  STERNA_TRY(loop->items, iterate(env_.budget, iterable));
  loop->filtered = statement.condition != nullptr;
  loop->depth0 = depth0;
  STERNA_TRY(const Flow flow, exec_iterations(statement, loop));
  if (loop.use_count() > 1) capture(loop->outer);  // it lives on in a namespace, and its scope with it
  if (flow != Flow::normal || loop->index0 >= 0) return Flow::normal;
  return exec_in_scope(statement.otherwise_scope, statement.otherwise);
}

// Flow::break_loop when the loop was left early.
Result<Interpreter::Flow> Interpreter::exec_iterations(const Stmt& statement,
                                                       const std::shared_ptr<Loop>& loop) {
  const Value loop_value{Value::ObjectPtr(loop)};
  while (true) {
    STERNA_CHECK(env_.budget.spend(1));
    STERNA_TRY(const std::optional<Value> item, loop->advance());
    if (!item) return Flow::normal;
    const EnterFrame entered(*this, open_frame(statement.scope, loop->outer));
    frame_->set("loop", loop_value);
    STERNA_CHECK(assign(*statement.target, *item));
    STERNA_TRY(const Flow flow, exec(statement.body));
    if (flow == Flow::break_loop) return flow;
  }
}

Result<bool> Interpreter::passes(const Stmt& loop, const FramePtr& outer, const Value& item) {
  const EnterFrame entered(*this, open_frame(loop.condition_scope, outer));
  STERNA_CHECK(assign(*loop.target, item));
  STERNA_TRY(const Value value, eval(*loop.condition));
  return truth(value);
}

Status Interpreter::exec_call(const Stmt& statement) {
  const Value caller = make_macro(statement);
  STERNA_TRY(const Value result, eval_call(*statement.exprs[0], &caller));
  if (result.text() == nullptr)
    return fail("a call block needs a call that gives a string, not {}", type_name(result));
  return write(result);
}

Result<Interpreter::Flow> Interpreter::exec_filter(const Stmt& statement) {
  const EnterFrame entered(*this, open_frame(statement.scope, frame_));
  Capture capture(*this);
  STERNA_TRY(const Flow flow, exec(statement.body));
  if (flow != Flow::normal) return flow;
  STERNA_TRY(const Value value, apply_block_filter(statement.filter, capture.take()));
  if (value.text() == nullptr)
    return fail("a filter block needs a filter that gives a string, not {}", type_name(value));
  STERNA_CHECK(write(value));
  return Flow::normal;
}

Result<Interpreter::Flow> Interpreter::exec_with(const Stmt& statement) {
  std::vector<Value> values;
  for (const ExprPtr& expr : statement.exprs) {
    STERNA_TRY(Value value, eval(*expr));
    values.push_back(std::move(value));
  }
  const EnterFrame entered(*this, open_frame(statement.scope, frame_));
  for (std::size_t i = 0; i < values.size(); ++i) STERNA_CHECK(assign(*statement.targets[i], values[i]));
  return exec(statement.body);
}

Result<Interpreter::Flow> Interpreter::exec_in_scope(const Scope& scope, const Body& body) {
  const EnterFrame entered(*this, open_frame(scope, frame_));
  return exec(body);
}

}  // namespace sterna::runtime::jinja
