// What an evaluation measures: the two suites that come with the program, and suites from a file.
// docs/evaluation.md describes the file.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "eval/generation/generation.h"
#include "eval/generation/needle.h"
#include "eval/tasks/task.h"
#include "eval/text/text.h"
#include "runtime/result.h"

namespace sterna::eval {

struct Suite {
  std::string name;
  std::vector<TextSpec> texts;
  std::vector<TaskSpec> tasks;
  std::vector<GenerationSpec> generations;
  std::optional<NeedleSpec> needle;
  std::vector<std::string> notes;  // what was left out because its file is not there
};

// "quick": what the binary carries. "full": whole texts and tasks from the folder `data`; those whose files
// are not there are left out with a note. Else the path of a JSON file; paths in it are relative to it.
// Errors name the file, the field and what it may be.
Result<Suite> load_suite(const std::string& name_or_file, const std::string& data);

// A text file as a TextSpec: content read, the rest as given. A name like "builtin:english.txt" works, too.
Result<TextSpec> load_text(TextSpec spec, const std::string& file);

// The length of the longest window, answer or question of the suite, in tokens: the context that it needs.
std::size_t longest_context(const Suite& suite);

}  // namespace sterna::eval
