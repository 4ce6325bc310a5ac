#include "eval/report/markdown.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <vector>

#include "eval/report/verdict.h"
#include "runtime/tokenizer/unicode.h"

namespace sterna::eval::report {
namespace {

// A name from a file must not steer the terminal.
std::string printable(std::string_view text) {
  std::string out = runtime::tokenization::to_valid_utf8(text);
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = '?';
  }
  return out;
}

std::vector<std::size_t> widths_of(const Table& table, const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  widths.reserve(table.columns.size());
  for (const Column& column : table.columns)
    widths.push_back(std::max<std::size_t>(3, display_width(column.title)));
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], display_width(row[i]));
  }
  return widths;
}

std::vector<std::string> titles_of(const Table& table) {
  std::vector<std::string> titles;
  titles.reserve(table.columns.size());
  for (const Column& column : table.columns) titles.push_back(column.title);
  return titles;
}

std::string row_of(const Table& table, const std::vector<std::size_t>& widths,
                   const std::vector<std::string>& cells, bool pipes) {
  std::string line = pipes ? "|" : "";
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const std::string cell = padded(cells[i], widths[i], table.columns[i].align);
    line += pipes ? fmt::format(" {} |", cell) : fmt::format("{}{}", i == 0 ? "" : "  ", cell);
  }
  if (!pipes) line.erase(line.find_last_not_of(' ') + 1);
  return line + "\n";
}

std::string section(const Table& table) {
  if (table.empty()) return {};
  const std::string note = table.note.empty() ? std::string() : escape_markdown(table.note) + "\n\n";
  return fmt::format("\n### {}\n\n{}{}", escape_markdown(table.title), note, markdown_table(table));
}

std::string sections(const char* title, const std::vector<Table>& tables) {
  std::string text;
  for (const Table& table : tables) text += section(table);
  return text.empty() ? text : fmt::format("\n## {}\n{}", title, text);
}

std::string notes_list(const Report& report) {
  std::string text;
  for (const std::string& note : report.notes) text += fmt::format("* {}\n", escape_markdown(note));
  return text.empty() ? text : fmt::format("\n{}", text);
}

std::string verdict_lines(const Verdict& verdict) {
  std::string text;
  for (const ModelVerdict& line : verdict.models) {
    const std::string grade =
        line.grade == Grade::kNone ? std::string() : fmt::format("{}. ", grade_name(line.grade));
    text += fmt::format("* **{}**: {}{}\n", escape_markdown(line.name), grade, escape_markdown(line.text));
  }
  return text;
}

}  // namespace

std::string markdown_table(const Table& table) {
  std::vector<std::vector<std::string>> rows = table.rows;
  for (auto& row : rows) {
    for (std::string& cell : row) cell = escape_markdown(cell);
  }
  const std::vector<std::size_t> widths = widths_of(table, rows);
  std::string text = row_of(table, widths, titles_of(table), true) + "|";
  for (std::size_t i = 0; i < widths.size(); ++i) {
    const bool is_right = table.columns[i].align == Align::kRight;
    text += fmt::format("{:-<{}}{}|", "", widths[i] + 1, is_right ? ":" : "-");
  }
  text += '\n';
  for (const auto& row : rows) text += row_of(table, widths, row, true);
  return text;
}

std::string text_table(const Table& table) {
  std::vector<std::vector<std::string>> rows = table.rows;
  for (auto& row : rows) {
    for (std::string& cell : row) cell = printable(cell);
  }
  const std::vector<std::size_t> widths = widths_of(table, rows);
  std::vector<std::string> dashes;
  dashes.reserve(widths.size());
  for (const std::size_t width : widths) dashes.emplace_back(width, '-');
  std::string text = row_of(table, widths, titles_of(table), false) + row_of(table, widths, dashes, false);
  for (const auto& row : rows) text += row_of(table, widths, row, false);
  return text;
}

std::string markdown(const Report& report) {
  const Verdict verdict = judge(report);
  std::string text = fmt::format("# {}\n\n", escape_markdown(verdict.headline));
  if (!verdict.paragraph.empty()) text += escape_markdown(verdict.paragraph) + "\n\n";
  text += verdict_lines(verdict);
  if (const Table summary = summary_table(report); !summary.empty()) {
    text += fmt::format("\n## Summary\n\n{}\n\xC2\xB1 is one standard error. {}\n", markdown_table(summary),
                        escape_markdown(summary.note));
  }
  text += sections("Texts", text_tables(report));
  text += sections("Tasks", task_tables(report));
  text += sections("Generation", generation_tables(report));
  if (const Table needles = needle_table(report); !needles.empty()) {
    text += fmt::format("\n## {}\n\n{}\n\n{}", needles.title, needles.note, markdown_table(needles));
  }
  if (const Table cost = cost_table(report); !cost.empty()) {
    text += fmt::format("\n## {}\n\n{}{}", cost.title, cost.note.empty() ? "" : cost.note + "\n\n",
                        markdown_table(cost));
  }
  const Table setting = setting_table(report);
  text += fmt::format("\n## {}\n\n{}", setting.title, setting.empty() ? "" : markdown_table(setting));
  if (const Table files = file_table(report); !files.empty())
    text += fmt::format("\n{}", markdown_table(files));
  return text + notes_list(report);
}

std::string terminal_text(const Report& report) {
  const Verdict verdict = judge(report);
  std::string text = printable(verdict.headline) + "\n";
  if (!verdict.paragraph.empty()) text += printable(verdict.paragraph) + "\n";
  if (const Table summary = summary_table(report); !summary.empty()) {
    text += fmt::format("\n{}", text_table(summary));
    if (!summary.note.empty()) text += printable(summary.note) + "\n";
  }
  for (const Table& task : task_tables(report)) {
    text += fmt::format("\n{}: {}\n{}", printable(task.title), task.note, text_table(task));
  }
  for (const Table& generation : generation_tables(report)) {
    text += fmt::format("\n{}: {}\n{}", printable(generation.title), generation.note, text_table(generation));
  }
  if (const Table needles = needle_table(report); !needles.empty()) {
    text += fmt::format("\n{}: {}\n{}", needles.title, needles.note, text_table(needles));
  }
  for (const std::string& note : report.notes) text += fmt::format("note: {}\n", printable(note));
  return text;
}

}  // namespace sterna::eval::report
