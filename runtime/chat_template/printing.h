// Values as text: Python's str and repr, and json.dumps.
#pragma once

#include <string>

#include "runtime/chat_template/value.h"

namespace sterna::runtime::jinja {

// Python's repr of a float: the shortest digits that read back as the same number.
[[nodiscard]] std::string float_repr(double value);

// Strings come out as they are; the text of a container is untrusted as a whole when any string in it is.
// Errors: out of steps or too long.
Result<Text> to_text(Budget& budget, const Value& value);
Result<Text> to_repr(Budget& budget, const Value& value);

struct JsonStyle {
  bool ascii = false;   // \uXXXX for everything beyond ASCII
  bool pretty = false;  // one element a line, each level indented by `indent`
  Text indent;
  Text item_separator = Text(", ");
  Text key_separator = Text(": ");
  bool sort_keys = false;
};

// Errors: a value that JSON cannot express (undefined, functions, keys other than scalars), out of steps, too
// long.
Result<Text> to_json(Budget& budget, const Value& value, const JsonStyle& style);

}  // namespace sterna::runtime::jinja
