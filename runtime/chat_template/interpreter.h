// Walks the syntax tree of a template and writes its output.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/chat_template/ast.h"
#include "runtime/chat_template/environment.h"
#include "runtime/chat_template/value.h"

namespace sterna::runtime::jinja {

using NamedValues = std::vector<std::pair<std::string, Value>>;

// Variables of one scope. The names point into the syntax tree or are literals.
struct Frame {
  std::shared_ptr<Frame> parent;
  std::vector<std::pair<std::string_view, Value>> variables;
  bool captured = false;  // by a macro or a loop that lives on, so that it may be part of a cycle

  [[nodiscard]] Value* find(std::string_view name);
  void set(std::string_view name, Value value);
};
using FramePtr = std::shared_ptr<Frame>;

class Interpreter;

struct Macro : Object {
  static constexpr Kind kKind = Kind::macro;
  Macro() : Object(kKind) {}
  Result<std::optional<Value>> attribute(Environment& env, const Value& self, std::string_view name) override;
  const Stmt* statement = nullptr;
  FramePtr frame;
};

// `loop`. Elements are tested by the condition of the loop one at a time, as late as possible, because the
// body may change what the condition reads.
struct Loop : Object {
  static constexpr Kind kKind = Kind::loop;
  Loop() : Object(kKind) {}
  Result<std::optional<Value>> attribute(Environment& env, const Value& self, std::string_view name) override;

  // The next element, or nothing at the end.
  Result<std::optional<Value>> advance();
  Result<std::optional<Value>> peek();
  Result<std::size_t> length();

  Interpreter* interpreter = nullptr;
  const Stmt* statement = nullptr;
  FramePtr outer;
  std::vector<Value> items;
  std::size_t next = 0;
  bool filtered = false;  // elements from `next` on have to pass the condition
  std::int64_t index0 = -1;
  std::int64_t depth0 = 0;
  std::optional<Value> before;
  std::optional<Value> current;
  std::optional<Value> after;  // peeked at
  std::optional<std::size_t> known_length;
  std::optional<std::vector<Value>> last_changed;

 private:
  Result<std::optional<Value>> fetch();
};

class Interpreter {
 public:
  // Both must outlive the interpreter. `levels` bounds the recursion of evaluation.
  Interpreter(Environment& env, const NamedValues& context, std::size_t levels);
  Interpreter(const Interpreter&) = delete;
  Interpreter& operator=(const Interpreter&) = delete;
  ~Interpreter();

  Result<Text> run(const Program& program);
  // Where the error was met; 0 if nothing was evaluated.
  [[nodiscard]] int error_line() const { return error_line_; }

  // Whether `item` passes the condition of the loop.
  Result<bool> passes(const Stmt& loop, const FramePtr& outer, const Value& item);
  Environment& env() { return env_; }

 private:
  enum class Flow { normal, break_loop, continue_loop };

  // Expressions.
  Result<Value> eval(const Expr& expr);
  Result<Value> dispatch(const Expr& expr);
  Result<Value> eval_name(const Expr& expr);
  Result<Value> eval_sequence(const Expr& expr);
  Result<Value> eval_dict(const Expr& expr);
  Result<Value> eval_unary(const Expr& expr);
  Result<Value> eval_logical(const Expr& expr);
  Result<Value> eval_arithmetic(const Expr& expr);
  Result<Value> eval_comparison(const Expr& expr);
  Result<Value> eval_concatenate(const Expr& expr);
  Result<Value> eval_conditional(const Expr& expr);
  Result<Value> eval_attribute(const Expr& expr);
  Result<Value> eval_item(const Expr& expr);
  Result<Value> eval_slice(const Expr& expr);
  Result<Value> eval_call(const Expr& expr, const Value* caller);
  Result<Value> eval_filter(const Expr& expr);
  Result<Value> eval_test(const Expr& expr);
  Result<Arguments> eval_arguments(const CallArguments& arguments);
  // Leaves `value` alone for a bound that is not there.
  Status eval_bound(const ExprPtr& bound, Value& value);

  // Calls.
  Result<Value> call(const Value& callee, const Arguments& arguments);
  Result<Value> call_macro(const Macro& macro, const Arguments& arguments);
  Status bind_parameters(const Stmt& statement, const Arguments& arguments, Frame& frame);
  Status bind_rest(const Stmt& statement, const Arguments& arguments, const NamedValues& named, Frame& frame);
  Result<Value> call_loop(const Loop& loop, const Arguments& arguments);
  Value make_macro(const Stmt& statement);

  // Statements.
  Result<Flow> exec(const Body& body);
  Result<Flow> exec(const Stmt& statement);
  Result<Flow> exec_statement(const Stmt& statement);
  Status exec_output(const Stmt& statement);
  Status exec_assign(const Stmt& statement);
  Result<Flow> exec_set_block(const Stmt& statement);
  Result<Flow> exec_branch(const Stmt& statement);
  Result<Flow> exec_loop(const Stmt& statement);
  Result<Flow> run_loop(const Stmt& statement, const Value& iterable, const FramePtr& outer,
                        std::int64_t depth0);
  Result<Flow> exec_iterations(const Stmt& statement, const std::shared_ptr<Loop>& loop);
  Status exec_call(const Stmt& statement);
  Result<Flow> exec_filter(const Stmt& statement);
  Result<Flow> exec_with(const Stmt& statement);
  Result<Flow> exec_in_scope(const Scope& scope, const Body& body);
  // The filters of a block over its text.
  Result<Value> apply_block_filter(const ExprPtr& filter, Text text);

  Status assign(const Expr& target, const Value& value);
  Status assign_tuple(const Expr& target, const Value& value);
  Status assign_namespace_item(const Expr& target, const Value& value);
  Status write(const Value& value);
  Status write(const Text& text);
  // Keeps the frame until the end, where its variables are cleared.
  void capture(const FramePtr& frame);
  [[nodiscard]] FramePtr open_frame(const Scope& scope, const FramePtr& parent) const;

  class Level;
  class EnterFrame;
  class Capture;

  Environment& env_;
  const NamedValues& context_;
  std::size_t levels_left_;
  FramePtr frame_;
  Text* out_ = nullptr;
  Value block_text_;  // what the filters of a block begin with
  std::vector<FramePtr> captured_;
  int error_line_ = 0;
};

}  // namespace sterna::runtime::jinja
