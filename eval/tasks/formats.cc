#include "eval/tasks/formats.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <utility>

#include "eval/tasks/strings.h"

namespace sterna::eval {
namespace {

using nlohmann::json;

// A choice follows its context after one space: lm-eval's target_delimiter.
Item choice_item(std::string context, const std::vector<std::string>& choices, std::size_t answer) {
  Item item;
  item.example = fmt::format("{} {}", context, choices[answer]);
  item.contexts = {std::move(context)};
  item.continuations.reserve(choices.size());
  for (const std::string& choice : choices) {
    item.continuations.push_back(" " + choice);
    item.lengths.push_back(character_count(choice));
  }
  item.answer = answer;
  return item;
}

Item hellaswag_item(const std::string& context, std::vector<std::string> endings, std::size_t answer) {
  for (std::string& ending : endings) ending = without_page_marks(ending);
  return choice_item(without_page_marks(context), endings, answer);
}

Result<Item> read_hellaswag(const Fields& row) {
  STERNA_TRY(const std::string activity, row.text("/activity_label"));
  STERNA_TRY(const std::string a, row.text("/ctx_a"));
  STERNA_TRY(const std::string b, row.text("/ctx_b"));
  STERNA_TRY(const auto endings, row.texts("/endings"));
  STERNA_TRY(const std::size_t answer, row.answer("/label", endings.size()));
  return hellaswag_item(fmt::format("{}: {} {}", activity, a, capitalized(b)), endings, answer);
}

// "activity: context"; which part of it was ctx_b cannot be told any more, so nothing is capitalised.
Result<Item> read_hellaswag_text(const Fields& row) {
  STERNA_TRY(const std::string context, row.text("/context"));
  STERNA_TRY(const auto endings, row.texts("/endings"));
  STERNA_TRY(const std::size_t answer, row.answer("/label", endings.size()));
  return hellaswag_item(context, endings, answer);
}

Result<Item> read_arc(const Fields& row) {
  STERNA_TRY(const std::string question, row.text("/question"));
  STERNA_TRY(const auto choices, row.texts("/choices/text"));
  STERNA_TRY(auto labels, row.texts("/choices/label"));
  labels.resize(std::min(labels.size(), choices.size()));
  STERNA_TRY(const std::size_t answer, row.labelled("/answerKey", labels));
  return choice_item(fmt::format("Question: {}\nAnswer:", question), choices, answer);
}

Result<Item> read_openbookqa(const Fields& row) {
  STERNA_TRY(const std::string question, row.text("/question_stem"));
  STERNA_TRY(const auto choices, row.texts("/choices/text"));
  STERNA_TRY(auto labels, row.texts("/choices/label"));
  labels.resize(std::min(labels.size(), choices.size()));
  STERNA_TRY(const std::size_t answer, row.labelled("/answerKey", labels));
  return choice_item(question, choices, answer);
}

// LLM-Adapters wrote question and choices into one instruction, "...: QUESTION\n\nAnswer1: A Answer2: B
// ...\n\nAnswer format: ..."; taken apart again it is ARC's question.
Result<Item> read_arc_instruction(const Fields& row) {
  constexpr std::string_view kBefore = "Please choose the correct answer to the question: ";
  STERNA_TRY(const std::string text, row.text("/instruction"));
  const std::size_t end = text.rfind("\n\nAnswer format: ");
  std::size_t at = text.find("\n\nAnswer1: ");
  if (!text.starts_with(kBefore) || end == std::string::npos || at == std::string::npos || at > end) {
    return fail(
        "{}: the field 'instruction' is not of ARC's form ('{}... Answer1: ...'); other instructions are not "
        "read",
        row.where(), kBefore);
  }
  const std::string question = text.substr(kBefore.size(), at - kBefore.size());
  std::vector<std::string> choices;
  std::vector<std::string> labels;
  at += 2;
  while (at < end) {
    labels.push_back(fmt::format("answer{}", choices.size() + 1));
    at += labels.back().size() + 2;  // "Answer1: "
    const std::size_t next = text.find(fmt::format(" Answer{}: ", choices.size() + 2), at);
    choices.push_back(text.substr(at, std::min(next, end) - at));
    at = next < end ? next + 1 : end;
  }
  STERNA_TRY(const std::size_t answer, row.labelled("/answer", labels));
  return choice_item(fmt::format("Question: {}\nAnswer:", question), choices, answer);
}

Result<Item> read_piqa(const Fields& row) {
  STERNA_TRY(const std::string goal, row.text("/goal"));
  STERNA_TRY(const std::string first, row.text("/sol1"));
  STERNA_TRY(const std::string second, row.text("/sol2"));
  STERNA_TRY(const std::size_t answer, row.answer("/label", 2));
  return choice_item(fmt::format("Question: {}\nAnswer:", goal), {first, second}, answer);
}

// The options stand in the text, and what is scored is the rest of the sentence after them.
Result<Item> read_winogrande(const Fields& row) {
  STERNA_TRY(const std::string sentence, row.text("/sentence"));
  STERNA_TRY(const std::string first, row.text("/option1"));
  STERNA_TRY(const std::string second, row.text("/option2"));
  STERNA_TRY(const std::size_t answer, row.answer("/answer", 2, 1));
  const std::size_t gap = sentence.find('_');
  if (gap == std::string::npos) return fail("{}: the field 'sentence' has no gap ('_')", row.where());
  const std::string rest(stripped(std::string_view(sentence).substr(gap + 1)));
  Item item;
  for (const std::string& option : {first, second}) {
    item.contexts.push_back(sentence.substr(0, gap) + option);
    item.lengths.push_back(character_count(item.contexts.back()));
  }
  item.continuations = {" " + rest};
  item.answer = answer;
  item.example = fmt::format("{} {}", item.contexts[answer], rest);
  return item;
}

// SuperGLUE's rows have a label 0 or 1, Google's own an "answer" that is true or false.
Result<Item> read_boolq(const Fields& row) {
  STERNA_TRY(const std::string passage, row.text("/passage"));
  STERNA_TRY(const std::string question, row.text("/question"));
  const std::array<std::string, 2> truths = {"false", "true"};
  STERNA_TRY(const std::size_t answer,
             row.has("/label") ? row.answer("/label", 2) : row.labelled("/answer", truths));
  return choice_item(fmt::format("{}\nQuestion: {}?\nAnswer:", passage, question), {"no", "yes"}, answer);
}

// The choices are listed in the prompt, and the answer is a letter.
Result<Item> read_mmlu(const Fields& row) {
  STERNA_TRY(const std::string question, row.text("/question"));
  STERNA_TRY(const auto choices, row.texts("/choices"));
  if (choices.size() > 26)
    return fail("{}: {} choices, at most 26 have a letter", row.where(), choices.size());
  STERNA_TRY(const std::size_t answer, row.answer("/answer", choices.size()));
  std::string context(stripped(question));
  std::vector<std::string> letters;
  for (const std::string& choice : choices) {
    letters.emplace_back(1, static_cast<char>('A' + letters.size()));
    context += fmt::format("\n{}. {}", letters.back(), choice);
  }
  Item item = choice_item(context + "\nAnswer:", letters, answer);
  if (row.has("/subject")) {
    STERNA_TRY(item.group, row.text("/subject"));
    item.description = fmt::format("The following are multiple choice questions (with answers) about {}.\n\n",
                                   replaced(item.group, "_", " "));
  }
  return item;
}

// The last word is the target. As an example the target stands after two spaces, its own and the one that
// lm-eval puts between question and answer.
Result<Item> read_lambada(const Fields& row) {
  STERNA_TRY(const std::string text, row.text("/text"));
  const std::size_t last = text.rfind(' ');
  Item item;
  item.contexts = {last == std::string::npos ? std::string() : text.substr(0, last)};
  item.continuations = {" " + (last == std::string::npos ? text : text.substr(last + 1))};
  if (item.continuations.front() == " ") {
    return fail(
        "{}: the field 'text' ends without a word, and the last word is the answer: remove the space at "
        "its end, or the row",
        row.where());
  }
  item.example = fmt::format("{} {}", item.contexts.front(), item.continuations.front());
  return item;
}

Result<Item> read_choices(const Fields& row) {
  STERNA_TRY(std::string context, row.text("/context"));
  STERNA_TRY(const auto choices, row.texts("/choices"));
  STERNA_TRY(const std::size_t answer, row.answer("/answer", choices.size()));
  return choice_item(std::move(context), choices, answer);
}

const std::vector<Format>& table() {
  static const std::vector<Format> formats = {
      {"hellaswag", {"/ctx_a", "/ctx_b", "/endings"}, true, false, read_hellaswag},
      {"hellaswag-text", {"/context", "/endings"}, true, false, read_hellaswag_text},
      {"arc", {"/question", "/choices/text"}, true, false, read_arc},
      {"arc-instruction", {"/instruction"}, true, false, read_arc_instruction},
      {"openbookqa", {"/question_stem", "/choices/text"}, true, false, read_openbookqa},
      {"piqa", {"/goal", "/sol1", "/sol2"}, true, false, read_piqa},
      {"winogrande", {"/sentence", "/option1", "/option2"}, false, false, read_winogrande},
      {"boolq", {"/passage", "/question"}, false, false, read_boolq},
      {"mmlu", {"/question", "/choices"}, false, false, read_mmlu},
      {"choices", {"/context", "/choices"}, true, false, read_choices},
      {"lambada", {"/text"}, false, true, read_lambada},
  };
  return formats;
}

std::string format_names() {
  std::vector<std::string_view> names;
  for (const Format& format : table()) names.push_back(format.name);
  return fmt::format("{}", fmt::join(names, ", "));
}

}  // namespace

std::span<const Format> formats() { return table(); }

Result<const Format*> choose_format(const std::string& name, const Row& first, const std::string& where) {
  const Fields fields(first.fields, where);
  for (const Format& format : table()) {
    const auto has = [&](const std::string& pointer) { return fields.has(pointer); };
    const bool fits =
        name == "auto" ? std::all_of(format.fields.begin(), format.fields.end(), has) : name == format.name;
    if (fits) return &format;
  }
  if (name != "auto")
    return fail("{}: there is no task format '{}'; there are: {}", where, name, format_names());
  std::vector<std::string> keys;
  for (const auto& [key, value] : first.fields.items()) keys.push_back(key);
  return fail(
      "{}:{}: a row with the fields '{}' has none of the known forms ({}); docs/evaluation.md describes them",
      where, first.line, fmt::join(keys, "', '"), format_names());
}

}  // namespace sterna::eval
