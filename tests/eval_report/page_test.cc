// The page, the Markdown and the terminal's text: whole, escaped, aligned, and without empty sections.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <vector>

#include "eval/report/html.h"
#include "eval/report/json.h"
#include "eval/report/markdown.h"
#include "eval/report/write.h"
#include "tests/eval_report/sample.h"
#include "tests/support/temp_dir.h"

namespace sterna::eval::report {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// What is wrong with a page as XML; empty if nothing is. Attributes are quoted, elements nested and closed,
// '&' begins one of the entities that XML knows, and '<' only a tag.
class XmlWalk {
 public:
  static std::string complaint(std::string_view text) { return XmlWalk(text).walk(); }

 private:
  explicit XmlWalk(std::string_view text) : text_(text) {}

  std::string walk() {
    while (at_ < text_.size()) {
      if (text_[at_] == '<') {
        if (std::string error = tag(); !error.empty()) return error;
      } else if (text_[at_] == '&') {
        if (std::string error = entity(); !error.empty()) return error;
      } else {
        ++at_;
      }
    }
    return open_.empty() ? std::string() : "not closed: " + open_.back();
  }

  std::string tag() {
    const std::size_t end = end_of_tag();
    if (end == std::string_view::npos) return "a tag without an end: " + std::string(text_.substr(at_, 60));
    const std::string_view inside = text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    if (inside.starts_with("!DOCTYPE")) return {};
    const bool closes = inside.starts_with("/");
    const bool is_whole = inside.ends_with("/");
    const std::string_view named = closes ? inside.substr(1) : inside;
    const std::string name(named.substr(0, named.find_first_of(" \n/")));
    if (name.empty()) return "a '<' in a text";
    if (!closes && !is_whole) open_.push_back(name);
    if (!closes) return {};
    if (open_.empty() || open_.back() != name) return "closes what is not open: " + name;
    open_.pop_back();
    return {};
  }

  // The '>' outside of quotes.
  [[nodiscard]] std::size_t end_of_tag() const {
    bool is_quoted = false;
    for (std::size_t i = at_; i < text_.size(); ++i) {
      if (text_[i] == '"') is_quoted = !is_quoted;
      if (text_[i] == '<' && i > at_) return std::string_view::npos;
      if (text_[i] == '>' && !is_quoted) return i;
    }
    return std::string_view::npos;
  }

  std::string entity() {
    for (const std::string_view known : {"&amp;", "&lt;", "&gt;", "&quot;", "&#39;"}) {
      if (!text_.substr(at_).starts_with(known)) continue;
      at_ += known.size();
      return {};
    }
    return "not an entity: " + std::string(text_.substr(at_, 20));
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::vector<std::string> open_;
};

TEST(XmlWalk, FindsWhatIsWrong) {
  EXPECT_EQ(XmlWalk::complaint("<a b=\"c>\"><d/>&lt;</a>"), "");
  for (const char* bad : {"<a>", "<a></b>", "a < b", "<a>&x</a>", "<a><b></a></b>", "<a b=\"<\"/>"}) {
    EXPECT_NE(XmlWalk::complaint(bad), "") << bad;
  }
}

Report hostile_report() {
  Report report = testing::sample_report(4);
  const std::string attack = "\"'><script>alert(1)</script>&\x01\xFF|`";
  for (ModelResult& model : report.models) {
    model.name += attack;
    model.path = model.kind = model.checksum = attack;
    for (TextResult& text : model.texts) text.text += attack;
    for (TaskResult& task : model.tasks) task.task += attack;
    for (GenerationResult& g : model.generations) {
      g.name += attack;
      for (Answer& answer : g.answers) {
        answer.prompt += attack;
        answer.text += attack;
      }
    }
  }
  report.command = report.cpu = report.suite = report.version = report.date = report.kv = report.isa = attack;
  report.notes = {attack};
  return report;
}

TEST(Page, IsWellFormedForAnyNumberOfModels) {
  for (std::size_t models = 0; models <= 12; ++models) {
    EXPECT_EQ(XmlWalk::complaint(html(testing::sample_report(models))), "") << models << " models";
  }
}

// Every float of a report replaced by `value`, as a measure that went wrong or a foreign file would have it.
Report with_floats(nlohmann::ordered_json value) {
  nlohmann::ordered_json json = to_json(testing::sample_report(4));
  const nlohmann::ordered_json flat = json.flatten();
  for (const auto& [path, number] : flat.items()) {
    if (number.is_number_float()) json[nlohmann::ordered_json::json_pointer(path)] = value;
  }
  const auto report = from_json(json);
  EXPECT_TRUE(report) << (report ? "" : report.error().message);
  return *report;
}

TEST(Page, ShowsWhateverTheNumbersAre) {
  for (const nlohmann::ordered_json& value :
       {nlohmann::ordered_json(nullptr), nlohmann::ordered_json(0.0), nlohmann::ordered_json(-1e300),
        nlohmann::ordered_json(1e300)}) {
    const Report report = with_floats(value);
    EXPECT_EQ(XmlWalk::complaint(html(report)), "") << value;
    EXPECT_THAT(html(report), Not(HasSubstr("nan"))) << value;
    EXPECT_THAT(markdown(report), HasSubstr("## Summary")) << value;
  }
}

TEST(Page, NothingFromAFileBecomesMarkup) {
  const std::string page = html(hostile_report());
  EXPECT_EQ(XmlWalk::complaint(page), "");
  EXPECT_THAT(page, Not(HasSubstr("<script")));
  EXPECT_THAT(page, HasSubstr("&lt;script&gt;"));
  EXPECT_EQ(page.find('\x01'), std::string::npos);
  EXPECT_EQ(page.find('\xFF'), std::string::npos);
  EXPECT_THAT(markdown(hostile_report()), Not(::testing::ContainsRegex("[^\\]<script")));
}

TEST(Terminal, NamesDoNotSteerIt) {
  Report report = hostile_report();
  report.models[0].name = "a\x1B[2Jb";
  for (const char c : terminal_text(report)) {
    EXPECT_TRUE(c == '\n' || (static_cast<unsigned char>(c) >= 0x20 && c != 0x7F)) << static_cast<int>(c);
  }
}

TEST(Page, NeedsNothingElse) {
  const std::string page = html(testing::sample_report(6));
  for (const char* outside : {" src=", " href=", "url(", "@import", "<link", "<script", "<iframe"}) {
    EXPECT_THAT(page, Not(HasSubstr(outside)));
  }
}

TEST(Page, SaysFirstWhichModelToTake) {
  const std::string page = html(testing::sample_report(6));
  const std::size_t headline = page.find("<h1>Take invented-2p");
  ASSERT_NE(headline, std::string::npos);
  EXPECT_LT(headline, page.find("<table"));
  EXPECT_LT(headline, page.find("<svg"));
}

TEST(Page, EmptyPartsHaveNoSections) {
  Report report = testing::sample_report(3);
  EXPECT_THAT(html(report), HasSubstr("id=\"cost\""));
  for (ModelResult& model : report.models) {
    model.cost.reset();
    model.tasks.clear();
    model.generations.clear();
    model.needle.clear();
  }
  const std::string page = html(report);
  for (const char* id : {"cost", "tasks", "task-tables", "generation", "needles", "quality"}) {
    EXPECT_THAT(page, Not(HasSubstr("id=\"" + std::string(id) + "\""))) << id;
  }
  EXPECT_THAT(page, HasSubstr("id=\"divergence\""));
  EXPECT_THAT(markdown(report), Not(HasSubstr("## Tasks")));
  EXPECT_THAT(text_table(summary_table(report)), Not(HasSubstr("t/s")));
}

TEST(Page, AcrossTokenizersNoSummaryOfPerplexities) {
  Report report = testing::sample_report(3);
  EXPECT_THAT(text_table(summary_table(report)), HasSubstr("perplexity"));
  report.models[2].tokenizer = "another";
  EXPECT_THAT(text_table(summary_table(report)), Not(HasSubstr("perplexity")));
  EXPECT_THAT(text_table(summary_table(report)), HasSubstr("bits per byte"));
  EXPECT_THAT(html(report), HasSubstr("not comparable"));
}

TEST(Page, ATestThatShowsNothingSaysSo) {
  PairedTest test{12, 10, {-0.002, 0.004}, 0.83};
  EXPECT_EQ(test_words(test), "not shown (p = 0.83)");
  test.p_value = 0.012;
  EXPECT_EQ(test_words(test), "worse (p = 0.012)");
  test.difference.value = 0.02;
  EXPECT_EQ(test_words(test), "better (p = 0.012)");
}

// The position in cells of every column's border.
std::vector<std::size_t> borders(std::string_view line) {
  std::vector<std::size_t> list;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '|' && (i == 0 || line[i - 1] != '\\')) list.push_back(display_width(line.substr(0, i)));
  }
  return list;
}

TEST(Tables, AreAlignedWithJapaneseNames) {
  const Report report = testing::sample_report(8);
  std::istringstream lines(markdown_table(summary_table(report)));
  std::string line;
  std::getline(lines, line);
  const std::vector<std::size_t> first = borders(line);
  EXPECT_GT(first.size(), 8U);
  std::size_t rows = 0;
  for (; std::getline(lines, line); ++rows) EXPECT_EQ(borders(line), first) << line;
  EXPECT_EQ(rows, 9U);  // the line of dashes and eight models

  // In the terminal every number ends where its title ends.
  const Table table = {"",
                       "",
                       {{"model", Align::kLeft, "", true}, {"n", Align::kRight, "", false}},
                       {{"三値", "1"}, {"plain", "12345"}}};
  EXPECT_EQ(text_table(table), "model      n\n-----  -----\n三値       1\nplain  12345\n");
}

TEST(Tables, AMissingValueIsADashAndAnEmptyColumnIsGone) {
  Report report = testing::sample_report(2);
  report.models[1].cost->peak_resident_bytes = 0;
  const std::string one = text_table(cost_table(report));
  EXPECT_THAT(one, HasSubstr("peak memory"));
  EXPECT_THAT(one, HasSubstr(" -  "));
  report.models[0].cost->peak_resident_bytes = 0;
  EXPECT_THAT(text_table(cost_table(report)), Not(HasSubstr("peak memory")));
}

TEST(Write, MakesTheFolderAndThreeWholeFiles) {
  const testing::TempDir folder;
  const std::string out = folder.file("a/b");
  const Report report = testing::sample_report(3);
  const Status status = write_report(report, out);
  ASSERT_TRUE(status) << status.error().message;
  const auto content = [&](const char* name) {
    std::ifstream file(out + "/" + name, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
  };
  EXPECT_EQ(content("report.html"), html(report));
  EXPECT_EQ(content("report.md"), markdown(report));
  EXPECT_EQ(nlohmann::ordered_json::parse(content("report.json")), to_json(report));
  const auto files = std::distance(std::filesystem::directory_iterator(out), {});
  EXPECT_EQ(files, 3);
}

TEST(Write, SaysWhichFolderCannotBeMade) {
  const testing::TempDir folder;
  folder.write("file", "x");
  const Status status = write_report(Report{}, folder.file("file/out"));
  ASSERT_FALSE(status);
  EXPECT_THAT(status.error().message, HasSubstr("file/out"));
}

}  // namespace
}  // namespace sterna::eval::report
