// Template source to tokens, with the white space rules of trim_blocks and lstrip_blocks.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/result.h"

namespace sterna::runtime::jinja {

struct Token {
  enum class Kind {
    data,
    variable_begin,
    variable_end,
    block_begin,
    block_end,
    name,
    string,
    integer,
    floating,
    op,
    end,
  };
  Kind kind = Kind::end;
  int line = 1;
  std::string text;  // of data, name, string (unescaped) and op
  std::int64_t integer = 0;
  double number = 0;
};

// A syntax error with its place; the caller puts them into words.
struct SyntaxError {
  int line;
  std::string message;
};

// The last token is of kind `end`. `source` is valid UTF-8. Errors go to `error`.
[[nodiscard]] bool tokenize(std::string_view source, std::vector<Token>& tokens, SyntaxError& error);

}  // namespace sterna::runtime::jinja
