// Static analysis of a parsed template, with the rules of Jinja's compiler: which names a scope holds before
// they are assigned, what extra arguments a macro takes, and whether all filters and tests exist.
#pragma once

#include "runtime/chat_template/ast.h"
#include "runtime/chat_template/lexer.h"

namespace sterna::runtime::jinja {

// Fills in the scopes and macro flags of the program. An unknown filter or test is an error here unless a
// condition guards it, as then it only matters when it is reached.
[[nodiscard]] bool analyse_scopes(Program& program, SyntaxError& error);

}  // namespace sterna::runtime::jinja
