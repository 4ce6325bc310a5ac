// `convert --calibrate` and `--recover`: their options, what they show while they work, and what became of
// the model.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>

#include "cli/terminal.h"
#include "convert/fitted_model.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace sterna::cli {

struct FittingOptions {
  convert::CalibrationOptions calibration;
  double recover_minutes = 0.0;
  bool no_rotation = false;
  bool no_act_order = false;
  bool no_feedback = false;
  CLI::Option* calibrate = nullptr;  // is it there?

  [[nodiscard]] bool wanted() const;
};

void add_fitting_options(CLI::App& app, FittingOptions& options);

// What `convert` needs for the fit. A line for each layer and each measurement of the tuning goes to stderr
// unless quiet; `line` shows how far it is. Both must outlive the run.
convert::FitRun fit_run(const FittingOptions& options, const kernels::Kernels& kernels, ProgressLine& line,
                        bool quiet);

// What a user may expect of the model, on stdout.
void print_fit(const convert::FitReport& report);
nlohmann::ordered_json fit_json(const convert::FitReport& report);

}  // namespace sterna::cli
