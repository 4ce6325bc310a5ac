#include "cli/fitting.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>

#include "convert/graph/load.h"

namespace sterna::cli {
namespace {

using convert::CalibratedLayer;
using convert::HeldOut;

constexpr const char* kNames[] = {"q", "k", "v", "o", "gate", "up", "down"};
constexpr const char* kInputs[] = {"q, k, v", "o", "gate, up", "down"};

double ratio_of(const HeldOut& h) { return std::exp(h.loss - h.float_loss); }

// "layer  3 of 30  error of outputs: q 5.9 %, ..., down 5.0 %  8.2 s"
std::string layer_line(const CalibratedLayer& l) {
  std::string errors;
  for (std::size_t i = 0; i < l.fitted->linears.size(); ++i) {
    errors += fmt::format("  {} {:4.1f} %", kNames[i], 100.0 * l.fitted->linears[i].relative_error);
  }
  return fmt::format("layer {:>{}} of {}  error of outputs{}  {}", l.layer + 1,
                     std::to_string(l.layers).size(), l.layers, errors,
                     l.resumed ? "done before" : fmt::format("{:.1f} s", l.fitted->seconds));
}

// What was out of the ordinary.
std::vector<std::string> events(const CalibratedLayer& l) {
  std::vector<std::string> lines;
  for (std::size_t i = 0; i < convert::kFamilies; ++i) {
    if (l.fitted->damping[i] <= convert::kDamping) continue;
    lines.push_back(
        fmt::format("layer {}: the inputs of {} are nearly dependent; their second moments were damped by "
                    "{:g} instead of {:g}",
                    l.layer + 1, kInputs[i], l.fitted->damping[i], convert::kDamping));
  }
  for (std::size_t i = 0; i < l.fitted->linears.size(); ++i) {
    const convert::FittedLinear& f = l.fitted->linears[i];
    if (f.plain_rows == 0) continue;
    lines.push_back(fmt::format("layer {}: {} of {} rows of {} are rounded to nearest, which is better there",
                                l.layer + 1, f.plain_rows, f.matrix.rows, kNames[i]));
  }
  return lines;
}

}  // namespace

bool FittingOptions::wanted() const {
  return recover_minutes > 0.0 || (calibrate != nullptr && calibrate->count() > 0);
}

void add_fitting_options(CLI::App& app, FittingOptions& o) {
  convert::CalibrationOptions& c = o.calibration;
  o.calibrate =
      app.add_option(
             "--calibrate", c.text.files,
             "float models: fit the planes to these texts (text, or *.jsonl with a field \"text\"); without "
             "a name to a mixed text that comes with the program")
          ->expected(0, 4096);
  app.add_option("--tokens", c.text.tokens, "tokens of the text that the planes are fitted to")
      ->check(CLI::Range(std::size_t{512}, std::size_t{1} << 28))
      ->capture_default_str();
  app.add_option("--seed", c.text.seed, "chooses the windows of the text")->capture_default_str();
  app.add_option(
         "--recover", o.recover_minutes,
         "then tune scales and norm gains to the text for so many minutes; trained ternary models, too")
      ->check(CLI::Range(0.1, 10000.0));
  app.add_flag("--resume", c.resume, "go on with a calibration or a tuning that was stopped");
  const std::string group = "Steps of the calibration, to measure what each is worth";
  app.add_flag("--no-rotation", o.no_rotation, "leave inputs as they are")->group(group);
  app.add_flag("--no-act-order", o.no_act_order, "columns in their order")->group(group);
  app.add_flag("--no-feedback", o.no_feedback, "round instead of GPTQ")->group(group);
  app.add_option("--alpha", c.fit.alpha, "share of the inputs' error that is made good")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str()
      ->group(group);
  app.add_option("--beta", c.fit.beta, "share of the residual stream's drift that is made good")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str()
      ->group(group);
  app.add_option("--descent", c.fit.descent_rounds, "rounds of coordinate descent")
      ->check(CLI::Range(0, 100))
      ->capture_default_str()
      ->group(group);
  app.add_option("--window", c.window, "tokens of a window of the text")
      ->check(CLI::Range(16, 1 << 20))
      ->capture_default_str()
      ->group(group);
}

convert::FitRun fit_run(const FittingOptions& o, const kernels::Kernels& kernels, ProgressLine& line,
                        bool quiet) {
  convert::FitRun run;
  run.calibration = o.calibration;
  std::erase(run.calibration.text.files, "");  // CLI11's word for an option without a value
  run.calibration.rotate = !o.no_rotation;
  run.calibration.fit.act_order = !o.no_act_order;
  run.calibration.fit.feedback = !o.no_feedback;
  run.recover_minutes = o.recover_minutes;
  run.kernels = &kernels;
  run.progress = [&line](std::size_t done, std::size_t total, const std::string& what) {
    line.update(done, total, what);
  };
  if (quiet) return run;
  run.on_layer = [&line](const CalibratedLayer& l) {
    line.note(layer_line(l));
    for (const std::string& event : events(l)) line.note(event);
  };
  const auto shown = std::make_shared<std::size_t>(SIZE_MAX);
  run.on_step = [&line, shown](const convert::RecoverProgress& p) {
    if (p.steps != 0) line.update(p.step, p.steps, fmt::format("tuning, loss {:.4f}", p.loss));
    if (p.measured != p.step || *shown == p.step) return;
    *shown = p.step;
    const std::string of = p.steps == 0 ? "" : fmt::format(" of {}", p.steps);
    line.note(
        fmt::format("tuning: step {}{}  held-out loss {:.4f}  {:.0f} s", p.step, of, p.held_out, p.seconds));
  };
  return run;
}

void print_fit(const convert::FitReport& r) {
  if (r.plan) {
    fmt::print("  planes           {} matrices with 1, {} with 2, {} with 3\n", r.plan->count(1),
               r.plan->count(2), r.plan->count(3));
  }
  fmt::print("  fitted to        {}\n", r.text.text);
  const auto show = [](const char* what, const HeldOut& h) {
    fmt::print(
        "  {:<16} perplexity about {:.2f} times the float model's, KL {:.3f} (measured on {} tokens of that "
        "text "
        "that nothing was fitted to)\n",
        what, ratio_of(h), h.divergence, h.tokens);
  };
  if (r.calibrated) show("expected quality", *r.calibrated);
  if (!r.recovered) return;
  fmt::print("  tuned            {} steps, held-out {} {:.4f} before, {:.4f} after (step {})\n",
             r.recovered->steps, r.calibrated ? "KL" : "loss", r.recovered->start_loss,
             r.recovered->best_loss, r.recovered->best_step);
  if (r.final) show("after tuning", *r.final);
}

nlohmann::ordered_json fit_json(const convert::FitReport& r) {
  nlohmann::ordered_json j = {{"text", r.text.text}};
  if (r.plan) {
    j["planes"] = nlohmann::ordered_json::array();
    for (const convert::PlannedMatrix& m : r.plan->matrices)
      j["planes"].push_back({{"name", m.name}, {"planes", m.planes}, {"predicted_loss", m.loss()}});
  }
  const auto held_out = [](const HeldOut& h) -> nlohmann::ordered_json {
    return {{"tokens", h.tokens},
            {"perplexity_ratio", ratio_of(h)},
            {"kl", h.divergence},
            {"float_perplexity", std::exp(h.float_loss)}};
  };
  if (r.calibrated) j["calibrated"] = held_out(*r.calibrated);
  if (!r.recovered) return j;
  j["tuned"] = {{"steps", r.recovered->steps},
                {"best_step", r.recovered->best_step},
                {"start_loss", r.recovered->start_loss},
                {"best_loss", r.recovered->best_loss},
                {"seconds", r.recovered->seconds}};
  if (r.final) j["final"] = held_out(*r.final);
  return j;
}

}  // namespace sterna::cli
