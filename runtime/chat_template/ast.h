// The syntax tree of a template. Immutable once analyse_scopes() has gone over it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "runtime/chat_template/operations.h"
#include "runtime/chat_template/value.h"

namespace sterna::runtime::jinja {

struct Expr;
using ExprPtr = std::unique_ptr<Expr>;

struct CallArguments {
  std::vector<ExprPtr> positional;
  std::vector<std::pair<std::string, ExprPtr>> named;
  ExprPtr rest;        // *rest
  ExprPtr named_rest;  // **named_rest
};

struct Expr {
  enum class Kind {
    constant,        // constant
    name,            // name
    namespace_item,  // name.attribute, as the target of an assignment only
    list,
    tuple,
    dict,         // items: key, value, key, value ...
    negate,       // items[0]
    plus,         // items[0]
    logical_not,  // items[0]
    logical_and,
    logical_or,
    arithmetic,   // items[0] op items[1]
    comparison,   // items[0] ops[0] items[1] ops[1] items[2] ...
    concatenate,  // items, with ~
    conditional,  // items: value, condition, otherwise (may be null)
    attribute,    // items[0].name
    item,         // items[0][items[1]]
    slice,        // items[0][items[1]:items[2]:items[3]], each bound may be null
    call,         // items[0](arguments)
    filter,       // items[0] | name(arguments); items[0] is null where a filter is applied to a block
    test,         // items[0] is name(arguments)
  };
  Kind kind = Kind::constant;
  int line = 0;
  std::size_t depth = 1;  // levels of the tree from here down
  std::string name;
  std::string attribute;
  Value constant;
  Operator op = Operator::add;
  std::vector<Operator> ops;
  std::vector<ExprPtr> items;
  CallArguments arguments;
};

struct Stmt;
using StmtPtr = std::unique_ptr<Stmt>;
using Body = std::vector<StmtPtr>;

// A scope of variables. `unset` are the names that the scope assigns to before it reads them and that no
// scope around it knows: within it they are undefined until then, even if the context has a variable of that
// name.
struct Scope {
  std::vector<std::string> unset;
};

// Parameters of a macro or a call block; the last ones have defaults.
struct Parameters {
  std::vector<std::string> names;
  std::vector<ExprPtr> defaults;
};

struct Stmt {
  enum class Kind {
    data,        // text
    output,      // exprs
    assign,      // target = exprs[0]
    set_block,   // target = body through filter (may be null)
    loop,        // for target in exprs[0] if condition: body, else otherwise
    branch,      // branches, otherwise
    macro,       // name(parameters): body
    call,        // exprs[0] is the call, parameters and body make its caller
    filter,      // filter over body
    with,        // targets = exprs: body
    generation,  // body
    break_loop,
    continue_loop,
  };
  Kind kind = Kind::data;
  int line = 0;
  std::string text;
  std::string name;
  std::vector<ExprPtr> exprs;
  std::vector<ExprPtr> targets;
  ExprPtr target;
  ExprPtr condition;
  ExprPtr filter;
  Parameters parameters;
  std::vector<std::pair<ExprPtr, Body>> branches;
  Body body;
  Body otherwise;
  bool recursive = false;
  // Filled in by analyse_scopes().
  Scope scope;
  Scope otherwise_scope;
  Scope condition_scope;
  bool takes_caller = false;
  bool takes_kwargs = false;
  bool takes_varargs = false;
};

struct Program {
  std::string source;
  Body body;
  Scope scope;
};

}  // namespace sterna::runtime::jinja
