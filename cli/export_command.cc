#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/conversion.h"
#include "cli/terminal.h"
#include "convert/export.h"

namespace sterna::cli {
namespace {

struct Options : ConversionOptions {
  std::string type;
  std::string head;
  std::string pre_tokenizer;
};

nlohmann::ordered_json summary(const Options& o, const convert::ExportReport& r, double seconds) {
  return {
      {"source", o.source},
      {"output", o.output},
      {"architecture", r.architecture},
      {"type", o.type},
      {"file_bytes", r.file_bytes},
      {"weights", r.weights},
      {"bits_per_weight", bits_per_weight(r.tensor_bytes, r.weights)},
      {"notes", r.notes},
      {"seconds", seconds},
  };
}

void print_text(const Options& o, const convert::ExportReport& r, double seconds) {
  print_conversion(o, r.file_bytes, r.weights, seconds);
  fmt::print("  architecture     {}\n", r.architecture);
  fmt::print("  whole model      {:.3f} bits per weight\n", bits_per_weight(r.tensor_bytes, r.weights));
}

int run(const Options& o) {
  convert::ExportOptions options;
  options.type = o.type == "f16"     ? convert::ExportType::f16
                 : o.type == "tq1_0" ? convert::ExportType::tq1_0
                                     : convert::ExportType::tq2_0;
  if (!o.head.empty()) options.head = o.head == "f16" ? convert::ExportHead::f16 : convert::ExportHead::q8_0;
  options.pre_tokenizer = o.pre_tokenizer;
  Conversion conversion(o);
  const auto report = convert::export_model(o.source, o.output, options, conversion.pool(),
                                            conversion.progress(), interrupted);
  const double seconds = conversion.finish();
  if (!report) return print_error(report.error().message);
  if (!o.quiet) {
    for (const std::string& note : report->notes) print_note("note: " + note);
  }
  if (o.json) {
    print_json(summary(o, *report, seconds));
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
  add_conversion_options(app, *options);
  app.footer(
      "\nExample:\n  sterna export bitnet.gguf -o bitnet-tq2_0.gguf --to tq2_0\n\n"
      "The file is for llama.cpp. Trits stay as they are, their scale is rounded to f16; what llama.cpp "
      "cannot\n"
      "express is refused, and what it computes differently is noted.");
  return [options] { return run(*options); };
}

}  // namespace sterna::cli
