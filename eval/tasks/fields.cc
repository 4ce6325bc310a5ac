#include <charconv>
#include <utility>

#include "eval/tasks/formats.h"
#include "eval/tasks/strings.h"

namespace sterna::eval {

using nlohmann::json;

bool Fields::has(const std::string& pointer) const { return row_.contains(json::json_pointer(pointer)); }

Result<const json*> Fields::find(const std::string& pointer) const {
  if (!has(pointer)) {
    return fail("{}: the field '{}' is missing; docs/evaluation.md lists the forms of rows", where_,
                pointer.substr(1));
  }
  return &row_.at(json::json_pointer(pointer));
}

Result<std::string> Fields::answer_text(const std::string& pointer) const {
  if (!has(pointer)) {
    return fail(
        "{}: the field '{}' is missing: a row without its answer cannot be scored; use a part of the data "
        "set "
        "that has answers",
        where_, pointer.substr(1));
  }
  const json& value = row_.at(json::json_pointer(pointer));
  std::string text = value.is_string() ? value.get<std::string>() : value.dump();
  if (value.is_null() || text.empty() || text == "-1") {
    return fail(
        "{}: the field '{}' holds no answer (test sets keep theirs): use a part of the data set that has "
        "answers",
        where_, pointer.substr(1));
  }
  return text;
}

Result<std::string> Fields::text(const std::string& pointer) const {
  STERNA_TRY(const json* value, find(pointer));
  if (!value->is_string()) {
    return fail("{}: the field '{}' is {}, a text is expected", where_, pointer.substr(1),
                value->type_name());
  }
  return value->get<std::string>();
}

Result<std::vector<std::string>> Fields::texts(const std::string& pointer) const {
  STERNA_TRY(const json* value, find(pointer));
  std::vector<std::string> texts;
  if (value->is_array()) {
    texts.reserve(value->size());
    for (const json& text : *value) {
      if (text.is_string()) texts.push_back(text.get<std::string>());
    }
  }
  if (!value->is_array() || texts.size() != value->size() || texts.size() < 2) {
    return fail("{}: the field '{}' must be a list of two or more texts", where_, pointer.substr(1));
  }
  return texts;
}

Result<std::size_t> Fields::answer(const std::string& pointer, std::size_t n, int first) const {
  STERNA_TRY(const std::string text, answer_text(pointer));
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool is_number = error == std::errc() && end == text.data() + text.size();
  if (!is_number || number < first || static_cast<std::size_t>(number - first) >= n) {
    return fail("{}: the field '{}' is {}, the answer must be a number from {} to {}", where_,
                pointer.substr(1), text, first, static_cast<std::size_t>(first) + n - 1);
  }
  return static_cast<std::size_t>(number - first);
}

Result<std::size_t> Fields::labelled(const std::string& pointer, std::span<const std::string> labels) const {
  STERNA_TRY(const std::string text, answer_text(pointer));
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (stripped(text) == labels[i]) return i;
  }
  return fail("{}: the field '{}' is '{}', which is none of the labels {}", where_, pointer.substr(1), text,
              fmt::join(labels, ", "));
}

}  // namespace sterna::eval
