#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <chrono>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/commands.h"
#include "cli/conversion.h"
#include "cli/cost.h"
#include "cli/engine.h"
#include "cli/terminal.h"
#include "convert/hf_model.h"
#include "eval/evaluate.h"
#include "eval/report/json.h"
#include "eval/report/markdown.h"
#include "eval/report/write.h"
#include "eval/text/windows.h"
#include "runtime/cpu_count.h"

namespace sterna::cli {
namespace {

struct Options {
  std::vector<std::string> models;
  std::string baseline;
  std::string suite;
  std::string data;
  std::vector<std::string> texts;
  std::vector<std::string> tasks;
  std::string protocol = "second-half";
  std::size_t window = 512;
  std::size_t stride = 0;
  std::size_t max_windows = 0;
  std::string bos = "auto";
  bool parse_special = false;
  bool seen_text = false;
  std::size_t limit = 0;
  std::size_t shots = 0;
  std::string kv = "f32";
  std::size_t threads = 0;
  std::size_t batch = 128;
  std::string report;
  std::string save_baseline;
  bool resume = false;
  bool no_cost = false;
  bool json = false;
  bool quiet = false;
};

// One line at a time for each measure: its share of the whole is not known beforehand.
class Progress {
 public:
  explicit Progress(bool enabled) : enabled_(enabled) {}
  void update(std::size_t done, std::size_t total, const std::string& what) {
    if (!line_ || what != what_) {
      line_.emplace(enabled_);
      what_ = what;
    }
    line_->update(done, total, what);
  }
  void clear() { line_.reset(); }

 private:
  bool enabled_;
  std::string what_;
  std::optional<ProgressLine> line_;
};

// The models of a run: sessions are in the contestants, and a recorded baseline has none.
struct Field {
  std::vector<eval::Contestant> contestants;
  std::vector<eval::ModelResult> results;
  std::optional<eval::BaselineRecord> record;

  [[nodiscard]] std::span<eval::ModelResult> loaded() { return std::span(results).last(contestants.size()); }
};

bool is_record(const std::string& path) { return path.ends_with(".safetensors"); }

Status add_text(const Options& o, const std::string& file, eval::Suite& suite) {
  eval::TextSpec spec;
  spec.name = std::filesystem::path(file).filename().string();
  spec.protocol = {o.protocol, o.window, 0, false};
  if (o.protocol == "strided") spec.protocol.stride = o.stride == 0 ? o.window / 2 : o.stride;
  spec.max_windows = o.max_windows;
  spec.parse_special = o.parse_special;
  if (o.bos != "auto") spec.bos = o.bos == "yes";
  STERNA_TRY(spec, eval::load_text(std::move(spec), file));
  suite.texts.push_back(std::move(spec));
  return {};
}

// NAME=FILE, or FILE alone.
eval::TaskSpec task_of(const Options& o, const std::string& text) {
  eval::TaskSpec spec;
  const std::size_t equals = text.find('=');
  if (equals != std::string::npos) spec.name = text.substr(0, equals);
  spec.file = equals == std::string::npos ? text : text.substr(equals + 1);
  spec.limit = o.limit;
  spec.shots = o.shots;
  return spec;
}

Result<eval::Suite> suite_of(const Options& o) {
  eval::Suite suite;
  suite.name = "own";
  const bool own = !o.texts.empty() || !o.tasks.empty();
  if (!o.suite.empty() || !own) {
    STERNA_TRY(suite, eval::load_suite(o.suite.empty() ? "quick" : o.suite, o.data));
  }
  for (const std::string& file : o.texts) STERNA_CHECK(add_text(o, file, suite));
  for (eval::TextSpec& text : suite.texts) text.seen = text.seen || o.seen_text;
  for (const std::string& task : o.tasks) suite.tasks.push_back(task_of(o, task));
  return suite;
}

Result<Field> load_models(const Options& o, const eval::Suite& suite, const kernels::Kernels& table,
                          runtime::ThreadPool& pool, Progress& progress) {
  std::vector<std::string> paths = o.models;
  Field field;
  if (is_record(o.baseline)) {
    STERNA_TRY(field.record, eval::load_record(o.baseline));
    field.results.push_back(eval::identify(*field.record, o.baseline));
  } else if (!o.baseline.empty()) {
    paths.insert(paths.begin(), o.baseline);
  }
  for (std::size_t i = 0; i < paths.size(); ++i) {
    if (interrupted()) return fail("interrupted");
    progress.update(i, paths.size(), "loading " + paths[i]);
    STERNA_TRY(auto model, convert::load_model(paths[i], {}, pool));
    const bool is_baseline = i == 0 && !o.baseline.empty() && !field.record;
    field.results.push_back(eval::identify(*model, paths[i], is_baseline, field.results));
    const eval::ModelResult& r = field.results.back();
    eval::Contestant c{r.name, r.checksum, r.tokenizer, is_baseline, nullptr};
    runtime::Session::Options session;
    session.context = std::min<std::size_t>(model->config().context, eval::longest_context(suite));
    session.kv = runtime::kv_type_named(o.kv);
    session.batch = o.batch;
    STERNA_TRY(c.session, runtime::Session::create(std::move(model), session, table, pool));
    field.contestants.push_back(std::move(c));
  }
  return field;
}

// Every model must go in the same steps; a short context makes a short batch.
Status check_batches(const Field& field) {
  for (const eval::Contestant& c : field.contestants) {
    if (c.session->batch() == field.contestants.front().session->batch()) continue;
    return fail("{}: its context allows batches of {} tokens, that of {} {}; use -b {}", c.name,
                c.session->batch(), field.contestants.front().name,
                field.contestants.front().session->batch(),
                std::min(c.session->batch(), field.contestants.front().session->batch()));
  }
  return {};
}

// As it was typed, so that it can be typed again: words that a shell would take apart are quoted.
std::string command_line() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  std::string line = "sterna";
  std::string word;
  std::getline(file, word, '\0');
  while (std::getline(file, word, '\0')) {
    constexpr std::string_view kPlain = "-_./=,:+@%";
    const bool plain = !word.empty() && std::all_of(word.begin(), word.end(), [&](unsigned char c) {
      return std::isalnum(c) != 0 || c >= 0x80 || kPlain.find(static_cast<char>(c)) != std::string_view::npos;
    });
    std::string quoted;
    for (const char c : word) quoted += c == '\'' ? "'\\''" : std::string(1, c);
    line += plain ? fmt::format(" {}", word) : fmt::format(" '{}'", quoted);
  }
  return line;
}

std::string now() {
  const std::time_t time = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  std::tm utc{};
  ::gmtime_r(&time, &utc);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday,
                     utc.tm_hour, utc.tm_min, utc.tm_sec);
}

Result<eval::Journal> open_journal(const Options& o) {
  if (o.report.empty()) return eval::Journal();
  std::error_code error;
  std::filesystem::create_directories(o.report, error);
  if (error) return fail("{}: cannot be made: {} (--report)", o.report, error.message());
  const std::string settings = fmt::format("kv {} batch {}", o.kv, o.batch);
  return eval::Journal::open((std::filesystem::path(o.report) / "journal.jsonl").string(), o.resume,
                             settings);
}

Status measure_costs(Field& field, std::size_t threads, runtime::ThreadPool& pool, Progress& progress) {
  for (std::size_t i = 0; i < field.contestants.size(); ++i) {
    if (interrupted()) return fail("interrupted");
    progress.update(i, field.contestants.size(), "speed and memory");
    eval::ModelResult& r = field.loaded()[i];
    STERNA_TRY(r.cost, measure_cost(r.path, field.contestants[i].model().config().context, threads, pool));
  }
  return {};
}

Status save_baseline(const Options& o, const eval::ModelResult& baseline, eval::BaselineRecord record) {
  record.name = baseline.name;
  record.kind = baseline.kind;
  record.checksum = baseline.checksum;
  record.tokenizer = baseline.tokenizer;
  return eval::save_record(record, o.save_baseline);
}

std::string record_note() {
  return fmt::format(
      "the baseline is a record: KL is computed from its {} most likely tokens and {} drawn from the others, "
      "without bias; "
      "the standard error holds what the draw adds, quantiles are blurred by it; perplexities and agreement "
      "are exact",
      eval::kRecordTop, eval::kRecordTail);
}

Result<eval::Report> measure(const Options& o, Progress& progress) {
  STERNA_TRY(const kernels::Kernels* table, choose_kernels());
  STERNA_TRY(eval::Suite suite, suite_of(o));
  eval::Report report;
  report.version = STERNA_VERSION;
  report.command = command_line();
  report.date = now();
  report.cpu = runtime::cpu_name();
  report.isa = table->name;
  report.threads = o.threads == 0 ? runtime::usable_cores() : o.threads;
  report.suite = suite.name;
  report.kv = o.kv;
  report.notes = suite.notes;
  runtime::ThreadPool pool(report.threads);
  STERNA_TRY(Field field, load_models(o, suite, *table, pool, progress));
  STERNA_CHECK(check_batches(field));
  STERNA_TRY(eval::Journal journal, open_journal(o));
  const eval::Surroundings surroundings{journal, pool,
                                        [&](std::size_t done, std::size_t total, const std::string& what) {
                                          progress.update(done, total, what);
                                        },
                                        [] { return interrupted(); }};
  eval::BaselineRecord made;
  const eval::TextRecord record{field.record ? &*field.record : nullptr,
                                o.save_baseline.empty() ? nullptr : &made};
  STERNA_CHECK(eval::evaluate(field.contestants, suite, surroundings, field.results, record));
  if (record.to != nullptr) STERNA_CHECK(save_baseline(o, field.results.front(), std::move(made)));
  if (field.record) report.notes.push_back(record_note());
  if (!o.no_cost) STERNA_CHECK(measure_costs(field, report.threads, pool, progress));
  report.models = std::move(field.results);
  return report;
}

int run(Options& o) {
  if (o.resume && o.report.empty()) {
    print_error("--resume needs --report DIR: that is where the finished work was noted");
    return 2;
  }
  if (!o.save_baseline.empty() && (o.baseline.empty() || is_record(o.baseline))) {
    print_error("--save-baseline needs --baseline MODEL, whose distributions it keeps");
    return 2;
  }
  if (o.models.empty() && o.save_baseline.empty()) {
    print_error("give a model to evaluate");
    return 2;
  }
  Progress progress(!o.quiet);
  const auto report = measure(o, progress);
  progress.clear();
  if (!report) {
    const bool can_resume = report.error().message == "interrupted" && !o.report.empty();
    return print_error(can_resume ? "interrupted; the same command with --resume goes on"
                                  : report.error().message);
  }
  for (const std::string& note : report->notes) print_note("note: " + note);
  if (!o.report.empty()) {
    const Status written = eval::report::write_report(*report, o.report);
    if (!written) return print_error(written.error().message);
    print_note(fmt::format("{}: report.html, report.md, report.json", o.report));
  }
  if (o.json) {
    print_json(eval::report::to_json(*report));
  } else {
    fmt::print("{}", eval::report::terminal_text(*report));
  }
  if (std::fflush(stdout) != 0) return print_error("cannot write to standard output");
  return 0;
}

void add_text_options(CLI::App& app, Options& o) {
  app.add_option("--text", o.texts, "a text to measure perplexity (and the distance to the baseline) on")
      ->take_all();
  app.add_option("--protocol", o.protocol,
                 "which tokens of a window count: second-half (llama.cpp's), all, or strided (that of the "
                 "transformers documentation)")
      ->check(
          CLI::IsMember(std::vector<std::string>(std::begin(eval::kProtocols), std::end(eval::kProtocols))))
      ->capture_default_str();
  app.add_option("--window", o.window, "tokens of a window")
      ->check(CLI::Range(std::size_t{4}, std::size_t{1} << 20))
      ->capture_default_str();
  app.add_option("--stride", o.stride, "of strided windows (default: half a window)");
  app.add_option("--max-windows", o.max_windows, "only the first windows of a text; 0: all")
      ->capture_default_str();
  app.add_option("--bos", o.bos, "begin every window with BOS: auto (if the tokenizer does), yes or no")
      ->check(CLI::IsMember({"auto", "yes", "no"}))
      ->capture_default_str();
  app.add_flag("--parse-special", o.parse_special, "special tokens spelled out in the text are those tokens");
  app.add_flag("--seen-text", o.seen_text, "measure texts that a model was calibrated on, too");
}

}  // namespace

Command add_eval(CLI::App& app) {
  auto options = std::make_shared<Options>();
  Options& o = *options;
  app.add_option("models", o.models, "Sterna files or Hugging Face directories");
  app.add_option("--baseline", o.baseline,
                 "the model that the others are compared with, often the float one; or what "
                 "--save-baseline wrote");
  app.add_option(
      "--save-baseline", o.save_baseline,
      "keep the baseline's distributions on the texts in this .safetensors file, for later --baseline");
  app.add_option(
      "--suite", o.suite,
      "quick (what the program brings along), full (with --data), or a JSON file (docs/evaluation.md); "
      "default: quick, unless --text or --task are given");
  app.add_option("--data", o.data, "folder with the texts and tasks of the suite");
  add_text_options(app, o);
  app.add_option("--task", o.tasks,
                 "FILE or NAME=FILE: questions with choices, JSON lines (docs/evaluation.md)")
      ->take_all();
  app.add_option("--limit", o.limit, "only the first items of the tasks given by --task; 0: all")
      ->capture_default_str();
  app.add_option("--shots", o.shots, "solved examples before each of their questions")->capture_default_str();
  app.add_option("--kv", o.kv, "type of the KV cache")
      ->check(CLI::IsMember(runtime::kKvTypeNames))
      ->capture_default_str();
  app.add_option("-t,--threads", o.threads, "threads (default: the physical cores that this process may use)")
      ->check(CLI::Range(1, 1024));
  app.add_option("-b,--batch", o.batch, "tokens of one step")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  app.add_option("--report", o.report, "write report.html, report.md and report.json into this folder");
  app.add_flag("--resume", o.resume, "go on where an interrupted run with the same --report stopped");
  app.add_flag("--no-cost", o.no_cost, "do not measure speed and memory");
  app.add_flag("--json", o.json, "print the report as JSON");
  app.add_flag("-q,--quiet", o.quiet, "no progress");
  app.footer(
      "\nExamples:\n  sterna eval model.gguf --baseline ./SmolLM2-135M-Instruct\n"
      "  sterna eval a.gguf b.gguf --baseline DIR --text wiki.test.raw --report out\n"
      "  sterna eval model.gguf --task hellaswag.jsonl --limit 200");
  return [options] { return run(*options); };
}

}  // namespace sterna::cli
