// Chat templates: the part of Jinja2 that the templates of Hugging Face models are written in, with the
// settings of transformers (trim_blocks, lstrip_blocks, no HTML escaping, the immutable sandbox, loop
// controls, {% generation %}, and the functions raise_exception and strftime_now). A rendering equals that of
// jinja2 byte for byte; what is not covered (include, import, extends, block, the filters pprint, random,
// urlize, wordwrap, xmlattr, striptags and filesizeformat, integers beyond 64 bits, "\N{...}") is an error,
// never a different text.
#pragma once

#include <cstddef>
#include <ctime>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/result.h"

namespace sterna::runtime {

struct ChatMessage {
  std::string role;
  std::string content;
};

struct TemplateLimits {
  // Evaluated nodes, elements of loops and lists, and one more for every 128 bytes of string that are made.
  std::size_t steps = 1'000'000;
  // Nesting of blocks, brackets, values and calls of macros. The C++ stack grows with it, by at most about 4
  // KiB a level.
  std::size_t depth = 200;
  // Of the rendering, and of any single string on the way. The source may have 1 MiB.
  std::size_t output_bytes = std::size_t{16} << 20U;
  // What strftime_now() tells; local time if empty.
  std::function<std::tm()> clock;
};

// Movable and cheap to copy; immutable, so that any number of threads may render at once.
class ChatTemplate {
 public:
  // `where` names the template in errors, for example "tokenizer_config.json". Errors: a syntax error, an
  // unknown filter or test, with the line.
  static Result<ChatTemplate> parse(std::string source, std::string_view where, TemplateLimits limits = {});

  // `context` is an object with the variables: messages (an array of objects with role and content), tools,
  // add_generation_prompt, bos_token, eos_token and whatever else the template reads; what is missing is
  // undefined. Errors: the message of raise_exception() as it is; "chat template (where), line n: ..." for
  // anything else.
  [[nodiscard]] Result<std::string> render(const nlohmann::ordered_json& context) const;

  struct Segment {
    std::string text;
    bool from_template;
  };
  // As render(), in pieces by origin. `from_template` is true for text of the template, of the clock and of
  // the variables named *_token and *_tokens; false for every string of the other variables, keys of objects
  // included, and for all that was made from such a string. The one exception are the usual words in the
  // field `role` of a message (system, developer, user, assistant, tool, function, ipython), as templates
  // build special tokens from them. Special tokens may be looked for in the pieces with from_template, each
  // by itself; the text between two special tokens is to be tokenized as one string across the borders of the
  // pieces. Neighbours differ in from_template, and no piece is empty.
  [[nodiscard]] Result<std::vector<Segment>> render_segments(const nlohmann::ordered_json& context) const;

  [[nodiscard]] const std::string& source() const;

 private:
  struct State;
  explicit ChatTemplate(std::shared_ptr<const State> state) : state_(std::move(state)) {}
  std::shared_ptr<const State> state_;
};

// The value of `messages` for plain conversations.
[[nodiscard]] nlohmann::ordered_json to_json(const std::vector<ChatMessage>& messages);

}  // namespace sterna::runtime
