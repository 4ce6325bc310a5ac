// Template source to a syntax tree.
#pragma once

#include <string_view>

#include "runtime/chat_template/ast.h"
#include "runtime/chat_template/lexer.h"

namespace sterna::runtime::jinja {

// `depth` bounds how deeply brackets, blocks and operators may be nested. Errors go to `error`.
[[nodiscard]] bool parse_template(std::string_view source, std::size_t depth, Body& body, SyntaxError& error);

// Evaluation recurses once per level of the tree; a chain of binary operators is a level each. A template may
// use this many times its nesting depth.
inline constexpr std::size_t kTreeLevelsPerDepth = 4;

}  // namespace sterna::runtime::jinja
