// The numbers of a report as tables, for Markdown, the terminal and HTML alike.
//
// "±" is one standard error. A column without any value is left out; a value that is missing is "-".
#pragma once

#include <string>
#include <vector>

#include "eval/report/text.h"
#include "eval/results.h"

namespace sterna::eval::report {

struct Column {
  std::string title;
  Align align = Align::kRight;
  std::string hint;       // what the number means
  bool is_model = false;  // cells are names of models
};

struct Table {
  std::string title;
  std::string note;  // protocol and what else the numbers depend on; may be empty
  std::vector<Column> columns;
  std::vector<std::vector<std::string>> rows;  // as many cells as columns, not escaped

  [[nodiscard]] bool empty() const { return rows.empty() || columns.size() < 2; }
};

// One row for each model: size, quality on the first text, tasks, speed. Where the tokenizers differ there
// are bits per byte instead of perplexities, and the note says why.
Table summary_table(const Report& report);

// For each text one of quality, and one of the divergence from the baseline if there is one.
std::vector<Table> text_tables(const Report& report);

// One for each task: a row for each model, with the paired test in words ("not shown (p = 0.31)").
std::vector<Table> task_tables(const Report& report);

// One for each kind of generation: what is counted over its answers.
std::vector<Table> generation_tables(const Report& report);

// Found needles of each length, over all depths.
Table needle_table(const Report& report);

Table cost_table(const Report& report);

// The models' files and checksums.
Table file_table(const Report& report);

// Command, machine, versions: name and value, without models.
Table setting_table(const Report& report);

// "second-half: windows of 512 tokens, the second half of each is scored, first token replaced by BOS"
std::string protocol_words(const Protocol& protocol);

// "worse (p = 0.012)", "better (p < 0.001)", "not shown (p = 0.31)"
std::string test_words(const PairedTest& test);

}  // namespace sterna::eval::report
