#include "eval/report/html.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "eval/report/plots.h"
#include "eval/report/svg.h"
#include "eval/report/tables.h"
#include "eval/report/verdict.h"

namespace sterna::eval::report {
namespace {

class Page {
 public:
  explicit Page(const Report& report) : report_(report), verdict_(judge(report)) {}

  std::string build() {
    begin();
    header();
    summary();
    figures();
    tables("Texts", "texts", text_tables(report_));
    tables("Tasks in numbers", "task-tables", task_tables(report_));
    generation();
    if (const Table cost = cost_table(report_); !cost.empty()) {
      heading(cost.title, "cost");
      add_table(cost, true);
    }
    setting();
    out_ += "</body>\n</html>\n";
    return std::move(out_);
  }

 private:
  void begin();
  void header();
  void model_line(std::size_t index);
  void summary();
  void figures();
  void figure(const Figure& figure);
  void tables(const char* title, const char* id, const std::vector<Table>& list);
  void add_table(const Table& table, bool with_note);
  void generation();
  void answers(const std::string& name);
  void answer(std::size_t model, const Answer& answer, const Answer* baseline);
  void setting();

  void heading(std::string_view title, std::string_view id) {
    out_ += fmt::format("<h2 id=\"{}\">{}</h2>\n", id, escape_xml(title));
  }
  [[nodiscard]] std::optional<std::size_t> index_of(const std::string& name) const;
  [[nodiscard]] std::string named(std::size_t index) const;

  const Report& report_;
  const Verdict verdict_;
  std::string out_;
};

std::string_view grade_class(Grade grade) {
  switch (grade) {
    case Grade::kEqual:
      return "good";
    case Grade::kDifferent:
    case Grade::kUnclear:
    case Grade::kSlightlyWorse:
      return "warn";
    case Grade::kClearlyWorse:
    case Grade::kUnusable:
      return "bad";
    default:
      return "plain";
  }
}

// Bytes that two texts share at their beginning, to a character's border.
std::size_t common_bytes(const std::string& a, const std::string& b) {
  const std::size_t limit = std::min(a.size(), b.size());
  std::size_t n = 0;
  while (n < limit && a[n] == b[n]) ++n;
  while (n > 0 && n < a.size() && (static_cast<unsigned char>(a[n]) & 0xC0U) == 0x80U) --n;
  return n;
}

std::optional<std::size_t> Page::index_of(const std::string& name) const {
  for (std::size_t i = 0; i < report_.models.size(); ++i) {
    if (report_.models[i].name == name) return i;
  }
  return std::nullopt;
}

std::string Page::named(std::size_t index) const {
  return swatch(series_of(report_, index)) + escape_xml(report_.models[index].name);
}

void Page::begin() {
  out_ = fmt::format(R"(<!DOCTYPE html>
<html xmlns="http://www.w3.org/1999/xhtml" lang="en">
<head>
<meta charset="utf-8"/>
<meta name="viewport" content="width=device-width, initial-scale=1"/>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'"/>
<meta name="generator" content="sterna eval"/>
<title>{}</title>
<style>
{}{}</style>
</head>
<body>
)",
                     escape_xml(verdict_.headline), plot_style(), page_style());
}

void Page::header() {
  const std::size_t n = report_.models.size();
  std::string kicker = fmt::format("Quality of {} model{}", n, n == 1 ? "" : "s");
  for (const std::string& part :
       {report_.suite.empty() ? std::string() : "suite " + report_.suite, report_.date, report_.cpu}) {
    if (!part.empty()) kicker += fmt::format(" \xC2\xB7 {}", part);
  }
  out_ += fmt::format("<header>\n<p class=\"kicker\">{}</p>\n<h1>{}</h1>\n", escape_xml(kicker),
                      escape_xml(verdict_.headline));
  if (!verdict_.paragraph.empty()) {
    out_ += fmt::format("<p class=\"lead\">{}</p>\n", escape_xml(verdict_.paragraph));
  }
  if (n > 0) {
    out_ += "<ul class=\"models\">\n";
    for (std::size_t i = 0; i < n; ++i) model_line(i);
    out_ += "</ul>\n";
  }
  out_ += "</header>\n";
}

void Page::model_line(std::size_t index) {
  const ModelVerdict& line = verdict_.models[index];
  std::string grade;
  if (line.grade != Grade::kNone) grade = grade_name(line.grade);
  if (line.grade == Grade::kNone && line.pareto && report_.models.size() > 1) grade = "in the Pareto set";
  out_ += fmt::format(
      "<li><span class=\"name\">{}{}</span><span class=\"grade {}\">{}</span><span "
      "class=\"text\">{}</span></li>\n",
      named(index), line.recommended ? "<span class=\"chosen\">take this</span>" : "",
      grade_class(line.grade), grade, escape_xml(line.text));
}

void Page::summary() {
  const Table table = summary_table(report_);
  if (table.empty()) return;
  heading(table.title, "summary");
  add_table(table, false);
  out_ += fmt::format("<p class=\"note\">\xC2\xB1 is one standard error. {}</p>\n", escape_xml(table.note));
}

void Page::add_table(const Table& table, bool with_note) {
  if (table.empty()) return;
  if (with_note && !table.note.empty()) {
    out_ += fmt::format("<p class=\"note\">{}</p>\n", escape_xml(table.note));
  }
  out_ += "<div class=\"scroll\"><table>\n<thead><tr>";
  const auto align = [&](std::size_t i) {
    return table.columns[i].align == Align::kRight ? " class=\"right\"" : "";
  };
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    const Column& column = table.columns[i];
    const std::string hint =
        column.hint.empty() ? std::string() : fmt::format(" title=\"{}\"", escape_xml(column.hint));
    out_ += fmt::format("<th scope=\"col\"{}{}>{}</th>", align(i), hint, escape_xml(column.title));
  }
  out_ += "</tr></thead>\n<tbody>\n";
  for (const auto& row : table.rows) {
    const auto model = table.columns[0].is_model ? index_of(row[0]) : std::nullopt;
    out_ += model && verdict_.models[*model].recommended ? "<tr class=\"chosen-row\">" : "<tr>";
    out_ += fmt::format("<th scope=\"row\">{}</th>", model ? named(*model) : escape_xml(row[0]));
    for (std::size_t i = 1; i < row.size(); ++i) {
      out_ += fmt::format("<td{}>{}</td>", align(i), escape_xml(row[i]));
    }
    out_ += "</tr>\n";
  }
  out_ += "</tbody>\n</table></div>\n";
}

void Page::figures() {
  const std::vector<Figure> list = plots(report_);
  if (list.empty()) return;
  heading("Pictures", "pictures");
  out_ += "<div class=\"figures\">\n";
  for (const Figure& f : list) figure(f);
  out_ += "</div>\n";
}

void Page::figure(const Figure& figure) {
  const bool is_wide = figure.is_small || figure.panels.size() > 1;
  out_ += fmt::format("<figure id=\"{}\" class=\"{}{}\">\n<h3>{}</h3>\n<div class=\"panels\">\n", figure.id,
                      is_wide ? "wide" : "half", figure.is_small ? " small" : "", escape_xml(figure.title));
  for (const std::string& panel : figure.panels)
    out_ += fmt::format("<div class=\"scroll\">{}</div>\n", panel);
  out_ += fmt::format("</div>\n<figcaption>{}</figcaption>\n</figure>\n", escape_xml(figure.caption));
}

void Page::tables(const char* title, const char* id, const std::vector<Table>& list) {
  if (list.empty()) return;
  heading(title, id);
  for (const Table& table : list) {
    out_ += fmt::format("<h3>{}</h3>\n", escape_xml(table.title));
    add_table(table, true);
  }
}

void Page::generation() {
  const std::vector<Table> list = generation_tables(report_);
  if (list.empty()) return;
  heading("Generation", "generation");
  for (const Table& table : list) {
    out_ += fmt::format("<h3>{}</h3>\n", escape_xml(table.title));
    add_table(table, true);
    answers(table.title);
  }
}

// Prompts in the order of the first model that has this kind; the models' answers side by side.
void Page::answers(const std::string& name) {
  struct Entry {
    std::size_t model;
    const GenerationResult* result;
  };
  std::vector<Entry> entries;
  std::size_t prompts = 0;
  for (std::size_t i = 0; i < report_.models.size(); ++i) {
    for (const GenerationResult& g : report_.models[i].generations) {
      if (g.name != name) continue;
      entries.push_back({i, &g});
      prompts = std::max(prompts, g.answers.size());
    }
  }
  const bool has_baseline = report_.baseline() != nullptr && !entries.empty() && entries.front().model == 0;
  for (std::size_t k = 0; k < prompts; ++k) {
    const auto first = std::find_if(entries.begin(), entries.end(),
                                    [&](const Entry& e) { return k < e.result->answers.size(); });
    out_ += fmt::format("<details><summary>{}</summary>\n<div class=\"answers\">\n",
                        escape_xml(shortened(first->result->answers[k].prompt, 160)));
    for (const Entry& e : entries) {
      if (k >= e.result->answers.size()) continue;
      const bool compares = has_baseline && e.model != 0 && k < entries.front().result->answers.size();
      answer(e.model, e.result->answers[k], compares ? &entries.front().result->answers[k] : nullptr);
    }
    out_ += "</div></details>\n";
  }
}

void Page::answer(std::size_t model, const Answer& answer, const Answer* baseline) {
  std::string facts = fmt::format("{} tokens", grouped(answer.tokens));
  if (!answer.finished) facts += ", cut at the limit";
  if (answer.loops) facts += ", loops";
  const std::size_t same = baseline == nullptr ? 0 : common_bytes(answer.text, baseline->text);
  if (baseline != nullptr && !answer.first_difference) facts += ", the baseline's answer";
  if (answer.first_difference)
    facts += fmt::format(", differs from token {} on", *answer.first_difference + 1);
  const std::string begin =
      same == 0 ? std::string()
                : fmt::format("<span class=\"same\">{}</span>", escape_xml(answer.text.substr(0, same)));
  out_ += fmt::format("<div><h4>{}</h4><p class=\"note\">{}</p><pre>{}{}</pre></div>\n", named(model), facts,
                      begin, escape_xml(answer.text.substr(same)));
}

void Page::setting() {
  const Table table = setting_table(report_);
  heading(table.title, "how");
  add_table(table, false);
  const Table files = file_table(report_);
  if (!files.empty()) {
    out_ += fmt::format("<h3>{}</h3>\n<div class=\"checksum\">", files.title);
    add_table(files, false);
    out_ += "</div>\n";
  }
  if (!report_.notes.empty()) {
    out_ += "<h3>Notes</h3>\n<ul>\n";
    for (const std::string& note : report_.notes) out_ += fmt::format("<li>{}</li>\n", escape_xml(note));
    out_ += "</ul>\n";
  }
  out_ += fmt::format(
      "<footer>How the words are chosen: a model is practically equal if the 95 % interval of its "
      "perplexity's ratio "
      "ends below {:.2f} and it has the baseline's most likely token in {:.0f} % of places; slightly worse "
      "up to {:.2f} "
      "and {:.0f} %; clearly worse up to {:.0f} and {:.0f} %. All numbers are in report.json as "
      "well.</footer>\n",
      kEqualRatio, 100 * kEqualTop1, kSlightRatio, 100 * kSlightTop1, kUsableRatio, 100 * kUsableTop1);
}

}  // namespace

std::string html(const Report& report) { return Page(report).build(); }

}  // namespace sterna::eval::report
