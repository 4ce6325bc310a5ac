#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/commands.h"
#include "cli/conversion.h"
#include "cli/engine.h"
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
  bool calibrate = false;
  bool no_rotation = false;
  double recover = 0.0;
  convert::CalibrationOptions calibration;
};

nlohmann::ordered_json summary(const Options& o, const convert::ConvertReport& r, double seconds) {
  return {
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
  if (o.calibrate || o.recover > 0.0) {
    const auto table = choose_kernels();
    if (!table) return print_error(table.error().message);
    options.fit = {o.calibration,
                   o.recover,
                   0,
                   *table,
                   [](const convert::CalibratedLayer& l) {
                     if (l.fitted == nullptr) return;
                     std::string line;
                     for (const auto& f : l.fitted->linears) line += fmt::format(" {:.4f}", f.relative_error);
                     print_note(fmt::format("layer {:3}/{}{}  {:.1f} s", l.layer + 1, l.layers, line,
                                            l.fitted->seconds));
                   },
                   [](const convert::RecoverProgress& p) {
                     print_note(fmt::format("step {}/{} {:.0f} s loss {:.4f} held out {:.4f}", p.step,
                                            p.steps, p.seconds, p.loss, p.held_out));
                   }};
    options.fit->calibration.rotate = !o.no_rotation;
  }
  Conversion conversion(o);
  const auto report = convert::convert_directory(o.source, o.output, options, conversion.pool(),
                                                 conversion.progress(), interrupted);
  const double seconds = conversion.finish();
  if (!report) return print_error(report.error().message);
  if (report->fit) {
    const auto show = [](const char* name, const convert::HeldOut& h) {
      print_note(fmt::format("{}: ratio {:.4f} KL {:.4f} float ppl {:.3f} tokens {}", name,
                             std::exp(h.loss - h.float_loss), h.divergence, std::exp(h.float_loss),
                             h.tokens));
    };
    if (report->fit->calibrated) show("calibrated", *report->fit->calibrated);
  }
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
  app.add_option("--bpw", options->bits_per_weight,
                 "with --calibrate: stored bits per weight of the linear layers, scales included; every "
                 "matrix gets the planes, 1 to 3, that are worth most there")
      ->excludes(planes);
  convert::CalibrationOptions& c = options->calibration;
  app.add_option(
         "--calibrate", c.text.files,
         "fit the planes to these texts (text, or JSONL with a field \"text\"); none: a mixed text that "
         "comes with the program")
      ->expected(0, -1);
  app.add_option("--tokens", c.text.tokens, "tokens of the text that are used")->capture_default_str();
  app.add_option("--seed", c.text.seed, "which of its windows these are")->capture_default_str();
  app.add_option("--recover", options->recover, "then tune scales and norm gains for so many minutes");
  app.add_flag("--resume", c.resume, "go on with a calibration that was stopped");
  const auto* const group = "Steps of the calibration, for measuring what each is worth";
  app.add_flag("--no-rotation", options->no_rotation, "leave inputs as they are")->group(group);
  app.add_option("--alpha", c.fit.alpha, "share of the inputs' error that is made good")->group(group);
  app.add_option("--beta", c.fit.beta, "share of the residual stream's drift that is made good")
      ->group(group);
  app.add_option("--descent", c.fit.descent_rounds, "rounds of coordinate descent")->group(group);
  app.add_option("--window", c.window, "tokens of a window")->group(group);
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
      "Checkpoints that were trained ternary are packed exactly. Float checkpoints are fitted with trit "
      "planes,\n"
      "data-free: W ~ s (T1 + T2/3 + T3/9), one scale per row and 128 columns.");
  CLI::Option* calibrate = app.get_option("--calibrate");
  return [options, calibrate] {
    options->calibrate = calibrate->count() > 0;
    return run(*options);
  };
}

}  // namespace sterna::cli
