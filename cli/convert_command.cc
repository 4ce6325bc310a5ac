#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/commands.h"
#include "cli/conversion.h"
#include "cli/engine.h"
#include "cli/fitting.h"
#include "cli/terminal.h"
#include "convert/convert.h"
#include "runtime/storage.h"

namespace sterna::cli {
namespace {

struct Options : ConversionOptions {
  std::uint32_t planes = 0;
  std::optional<double> bits_per_weight;
  bool keep_float = false;
  std::string embedding = "int8";
  std::string storage = "fast";
  FittingOptions fitting;
};

nlohmann::ordered_json summary(const Options& o, const convert::ConvertReport& r, double seconds) {
  nlohmann::ordered_json j = {
      {"source", o.source},
      {"output", o.output},
      {"form", r.source},
      {"file_bytes", r.file_bytes},
      {"weights", r.weights},
      {"bits_per_weight", bits_per_weight(r.tensor_bytes, r.weights)},
      {"linear_weights", r.linear_weights},
      {"linear_bits_per_weight", bits_per_weight(r.linear_bytes, r.linear_weights)},
      {"fitted_matrices", r.fitted},
      {"mean_relative_error", r.mean_relative_error},
      {"worst_relative_error", r.worst_relative_error},
      {"worst_tensor", r.worst_tensor},
      {"seconds", seconds},
  };
  if (r.fit) j["fit"] = fit_json(*r.fit);
  return j;
}

void print_text(const Options& o, const convert::ConvertReport& r, double seconds) {
  print_conversion(o, r.file_bytes, r.weights, seconds);
  fmt::print("  form             {}\n", r.source);
  fmt::print("  linear layers    {:.3f} bits per weight ({} weights)\n",
             bits_per_weight(r.linear_bytes, r.linear_weights), r.linear_weights);
  fmt::print("  whole model      {:.3f} bits per weight\n", bits_per_weight(r.tensor_bytes, r.weights));
  if (r.fitted > 0) {
    fmt::print("  relative error   {:.4f} mean, {:.4f} worst ({}), over {} matrices\n", r.mean_relative_error,
               r.worst_relative_error, r.worst_tensor, r.fitted);
  }
  if (r.fit) print_fit(*r.fit);
}

int run(const Options& o) {
  convert::ConvertOptions options;
  if (o.planes != 0) options.planes = o.planes;
  options.bits_per_weight = o.bits_per_weight;
  options.keep_float = o.keep_float;
  options.embedding = o.embedding == "keep"   ? convert::EmbeddingForm::keep
                      : o.embedding == "bf16" ? convert::EmbeddingForm::bf16
                                              : convert::EmbeddingForm::int8;
  options.storage = runtime::storage_named(o.storage);
  Conversion conversion(o);
  if (o.fitting.wanted()) {
    const auto table = choose_kernels();
    if (!table) return print_error(table.error().message);
    options.fit = fit_run(o.fitting, **table, conversion.line(), o.quiet);
  }
  const auto report = convert::convert_directory(o.source, o.output, options, conversion.pool(),
                                                 conversion.progress(), interrupted);
  const double seconds = conversion.finish();
  if (!report) return print_error(report.error().message);
  if (report->planes_by_default && !o.quiet) {
    print_note(
        "note: a float model: its linear layers became 3 trit planes; choose with --planes 1|2|3 or --float");
  }
  if (o.json) {
    print_json(summary(o, *report, seconds));
  } else if (!o.quiet) {
    print_text(o, *report, seconds);
  }
  return 0;
}

}  // namespace

Command add_convert(CLI::App& app) {
  auto options = std::make_shared<Options>();
  app.add_option("source", options->source,
                 "Hugging Face directory: config.json, tokenizer.json, safetensors")
      ->required();
  app.add_option("-o,--output", options->output, "the file to write, for example model.gguf")->required();
  CLI::Option* planes =
      app.add_option("--planes", options->planes, "float models: trit planes per linear layer (default 3)")
          ->check(CLI::Range(1, 3));
  app.add_flag("--float", options->keep_float, "float models: keep the linear layers as stored")
      ->excludes(planes);
  app.add_option(
         "--bpw", options->bits_per_weight,
         "float models, with --calibrate: a budget in stored bits per weight of the linear layers, scales "
         "included; every matrix gets the planes, 1 to 3, that are worth most there")
      ->excludes(planes);
  add_fitting_options(app, options->fitting);
  app.add_option("--embedding", options->embedding,
                 "embedding and head: int8 (a scale per row, the default), bf16, or keep (as stored)")
      ->check(CLI::IsMember({"keep", "bf16", "int8"}));
  app.add_option("--storage", options->storage,
                 "ternary weights of one plane: fast, in two bits, or small, in 1.6 bits, which costs speed "
                 "without AVX-512 (the same results either way)")
      ->check(CLI::IsMember(runtime::kStorageNames))
      ->capture_default_str();
  add_conversion_options(app, *options);
  app.footer(
      "\nExample:\n  sterna convert ./bitnet-b1.58-2B-4T -o bitnet.gguf\n\n"
      "  sterna convert ./SmolLM2-135M-Instruct -o smollm2.gguf --planes 2 --calibrate wiki.valid.raw\n\n"
      "Checkpoints that were trained ternary are packed exactly. Float checkpoints are fitted with trit "
      "planes,\n"
      "W ~ s (T1 + T2/3 + T3/9), one scale per row and 128 columns: to the weights alone, or with "
      "--calibrate to "
      "what\nthe model computes on a text, which is far better with one or two planes "
      "(docs/quantization.md).");
  return [options] { return run(*options); };
}

}  // namespace sterna::cli
