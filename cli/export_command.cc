#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/terminal.h"
#include "convert/export.h"
#include "runtime/cpu_count.h"

namespace sterna::cli {
namespace {

struct Options {
  std::string source;
  std::string output;
  std::string type;
  std::string head;
  std::string pre_tokenizer;
  std::uint32_t threads = 0;
  bool json = false;
  bool quiet = false;
};

double bits_per_weight(const convert::ExportReport& r) {
  return r.weights == 0 ? 0.0 : 8.0 * static_cast<double>(r.tensor_bytes) / static_cast<double>(r.weights);
}

void print_json(const Options& o, const convert::ExportReport& r, double seconds) {
  const nlohmann::ordered_json out = {
      {"source", o.source},
      {"output", o.output},
      {"architecture", r.architecture},
      {"type", o.type},
      {"file_bytes", r.file_bytes},
      {"weights", r.weights},
      {"bits_per_weight", bits_per_weight(r)},
      {"notes", r.notes},
      {"seconds", seconds},
  };
  fmt::print("{}\n", out.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
}

void print_text(const Options& o, const convert::ExportReport& r, double seconds) {
  fmt::print("{}: {}, {} weights, {:.1f} s\n", o.output, human_bytes(r.file_bytes), r.weights, seconds);
  fmt::print("  architecture     {}\n", r.architecture);
  fmt::print("  whole model      {:.3f} bits per weight\n", bits_per_weight(r));
}

int run(const Options& o) {
  convert::ExportOptions options;
  options.type = o.type == "f16"     ? convert::ExportType::f16
                 : o.type == "tq1_0" ? convert::ExportType::tq1_0
                                     : convert::ExportType::tq2_0;
  if (!o.head.empty()) options.head = o.head == "f16" ? convert::ExportHead::f16 : convert::ExportHead::q8_0;
  options.pre_tokenizer = o.pre_tokenizer;
  runtime::ThreadPool pool(o.threads == 0 ? runtime::usable_cores() : o.threads);
  const auto start = std::chrono::steady_clock::now();
  const auto report = [&] {
    ProgressLine line(!o.quiet);
    return convert::export_model(
        o.source, o.output, options, pool,
        [&](const convert::ConvertProgress& p) { line.update(p.done, p.total, p.what); },
        [] { return interrupted(); });
  }();
  if (!report) return print_error(report.error().message);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (!o.quiet) {
    for (const std::string& note : report->notes) print_note("note: " + note);
  }
  if (o.json) {
    print_json(o, *report, seconds);
  } else if (!o.quiet) {
    print_text(o, *report, seconds);
  }
  return 0;
}

}  // namespace

Command add_export(CLI::App& app) {
  auto options = std::make_shared<Options>();
  app.add_option("source", options->source, "Sterna file")->required();
  app.add_option("-o,--output", options->output, "the file to write, for example model-tq2_0.gguf")
      ->required();
  app.add_option("--to", options->type, "tq2_0 or tq1_0 (ternary, rows of multiples of 256 weights), or f16")
      ->required()
      ->check(CLI::IsMember({"tq2_0", "tq1_0", "f16"}));
  app.add_option("--head", options->head, "embedding and head: q8_0 (default with tq2_0 and tq1_0) or f16")
      ->check(CLI::IsMember({"q8_0", "f16"}));
  app.add_option("--pre", options->pre_tokenizer,
                 "llama.cpp's name for how the tokenizer splits texts, where Sterna does not know it");
  app.add_option("-t,--threads", options->threads,
                 "threads (default: the physical cores that this process may use)")
      ->check(CLI::Range(1, 1024));
  app.add_flag("--json", options->json, "print the summary as JSON");
  app.add_flag("-q,--quiet", options->quiet, "no summary, no notes, no progress");
  app.footer(
      "\nExample:\n  sterna export bitnet.gguf -o bitnet-tq2_0.gguf --to tq2_0\n\n"
      "The file is for llama.cpp. Trits stay as they are, their scale is rounded to f16; what llama.cpp "
      "cannot\n"
      "express is refused, and what it computes differently is noted.");
  return [options] { return run(*options); };
}

}  // namespace sterna::cli
