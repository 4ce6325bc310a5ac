// A task: questions whose answers a model gives by how likely it finds given continuations of a text.
//
// What lm-evaluation-harness calls a "multiple_choice" or "loglikelihood" task. docs/evaluation.md has the
// prompts of all formats and the definitions of acc and acc_norm.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "runtime/result.h"

namespace sterna::eval {

struct TaskSpec {
  std::string name{};           // in the report; empty: the file's name without its endings
  std::string file{};           // JSON lines, a JSON list or the six-line text of HellaSwag; also as .bz2
  std::string format = "auto";  // a name of formats(), or "auto": by the fields of the first row
  std::size_t limit = 0;        // only the first items; 0: all
  std::size_t shots = 0;        // solved examples before every question
  std::string shots_file{};     // where they come from; empty: the first other rows of `file`
};

struct Item {
  // One, or one for each choice where the choices stand in the middle of the text (WinoGrande).
  std::vector<std::string> contexts;
  // One for each choice with the space before it, or one for all contexts; LAMBADA: the target.
  std::vector<std::string> continuations;
  std::vector<std::size_t>
      lengths;             // characters (code points) of each choice without the space, for acc_norm
  std::size_t answer = 0;  // index of the right choice; 0 where there is only the target

  std::string group;        // examples of this item come from rows of the same group (MMLU: the subject)
  std::string description;  // before the examples
  std::string example;      // the item as an example of others: context, space, right choice

  std::size_t prefix = 0;  // index in Task::prefixes

  [[nodiscard]] std::size_t choices() const { return lengths.size(); }
  [[nodiscard]] const std::string& context(std::size_t choice) const {
    return contexts[contexts.size() == 1 ? 0 : choice];
  }
  [[nodiscard]] const std::string& continuation(std::size_t choice) const {
    return continuations[continuations.size() == 1 ? 0 : choice];
  }
};

struct Task {
  std::string name;
  std::string format;
  std::size_t shots = 0;
  // The model is asked to say the target by itself, token by token (LAMBADA); else it chooses.
  bool greedy_target = false;
  bool has_norm = false;              // acc_norm is defined
  double chance = 0;                  // accuracy of guessing: mean of 1 / choices
  std::vector<std::string> prefixes;  // description and examples; the items with the same one share it
  std::vector<Item> items;            // at least one
};

// Accuracy of guessing: the mean of 1 / choices; 0 with a target.
double chance_of(const Task& task);

// Errors name file, line and field: a file that cannot be read, no row, rows of an unknown form, a row
// without an answer, fewer examples than were asked for.
Result<Task> load_task(const TaskSpec& spec);

}  // namespace sterna::eval
