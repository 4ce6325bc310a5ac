// How a row of each data set becomes a question: one table, an entry a format.
//
// Prompts, choices and what counts as a choice's length are those of lm-evaluation-harness 0.4.13;
// docs/evaluation.md lists them.
#pragma once

#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "eval/tasks/rows.h"
#include "eval/tasks/task.h"
#include "runtime/result.h"

namespace sterna::eval {

// One row, whose fields are asked for by name; every error names place and field.
class Fields {
 public:
  Fields(const nlohmann::json& row, std::string where) : row_(row), where_(std::move(where)) {}

  [[nodiscard]] const std::string& where() const { return where_; }
  [[nodiscard]] bool has(const std::string& pointer) const;  // "/choices/text"
  [[nodiscard]] Result<std::string> text(const std::string& pointer) const;
  [[nodiscard]] Result<std::vector<std::string>> texts(const std::string& pointer) const;  // two or more
  // The right one of n choices, a number or a number in quotes, counted from `first`. Data sets write -1 or
  // nothing where they keep the answer to themselves: an error that says so.
  [[nodiscard]] Result<std::size_t> answer(const std::string& pointer, std::size_t n, int first = 0) const;
  // The place in `labels` of the label that the field holds, after white space before it.
  [[nodiscard]] Result<std::size_t> labelled(const std::string& pointer,
                                             std::span<const std::string> labels) const;

 private:
  [[nodiscard]] Result<const nlohmann::json*> find(const std::string& pointer) const;
  [[nodiscard]] Result<std::string> answer_text(const std::string& pointer) const;
  const nlohmann::json& row_;
  std::string where_;
};

struct Format {
  std::string_view name;
  std::vector<std::string> fields;  // a row that has these has this form (JSON pointers)
  bool has_norm = false;
  bool greedy_target = false;
  Result<Item> (*read)(const Fields& row);
};

// In the order in which "auto" tries them.
std::span<const Format> formats();

// By name, or for "auto" by the fields of the first row. `where` names the file in messages.
Result<const Format*> choose_format(const std::string& name, const Row& first, const std::string& where);

}  // namespace sterna::eval
