// report.md, and what a terminal shows of a report. Columns are aligned by the cells that characters take, so
// both can be read as they are.
#pragma once

#include <string>

#include "eval/report/tables.h"
#include "eval/results.h"

namespace sterna::eval::report {

// A table of GitHub's Markdown; names from files are escaped.
std::string markdown_table(const Table& table);

// Columns two spaces apart under a line of dashes; control characters in names become '?'.
std::string text_table(const Table& table);

// The whole report: the verdict, all tables, how it was measured. The answers are in the page and in the
// JSON.
std::string markdown(const Report& report);

// For stdout: the verdict, the summary, tasks, generation and needles, and the notes.
std::string terminal_text(const Report& report);

}  // namespace sterna::eval::report
