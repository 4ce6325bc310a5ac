// A model that is fitted to text before its file is written: calibration of a float model, and the tuning of
// scales and gains of that or of a trained ternary model.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "convert/calibrate/calibrate.h"
#include "convert/calibrate/plan.h"
#include "convert/checkpoint.h"
#include "convert/encode.h"
#include "convert/hf_config.h"
#include "convert/recover/recover.h"
#include "convert/recover/tunable.h"
#include "kernels/registry.h"
#include "runtime/result.h"
#include "runtime/thread_pool.h"
#include "runtime/tokenizer/tokenizer.h"

namespace sterna::convert {

struct FitRun {
  CalibrationOptions calibration;
  double recover_minutes = 0.0;   // 0: no tuning
  std::size_t recover_steps = 0;  // at most; 0: the minutes decide. For who needs the same result twice
  const kernels::Kernels* kernels = nullptr;
  std::function<void(const CalibratedLayer&)> on_layer = {};
  std::function<void(const RecoverProgress&)> on_step = {};
  std::function<void(std::size_t done, std::size_t total, const std::string& what)> progress = {};
  // Of a float model: instead of the same planes everywhere, as many to each linear as the stored bits per
  // weight of all linears allow (plan.h).
  std::optional<double> bits_per_weight = {};
};

struct FitReport {
  runtime::Calibration text;
  std::optional<Plan> plan;           // with FitRun::bits_per_weight
  std::optional<HeldOut> calibrated;  // of a float model whose text had 8 windows or more, before tuning
  std::optional<RecoverReport> recovered;
  std::optional<HeldOut> final;  // what the file has; none after tuning: `recovered` says how that ended
};

class FittedModel final : public FittedMatrices {
 public:
  // planes: of every linear of a float model, unless run.bits_per_weight decides. `output` is the file to be
  // written; work lies beside it. Errors: those of plan_planes(), calibrate() and recover(), and a float
  // model with a linear that is ternary by its values.
  static Result<FittedModel> create(const Checkpoint& checkpoint, const HfModel& model,
                                    const runtime::Tokenizer& tokenizer, std::size_t planes,
                                    EmbeddingForm embedding, const FitRun& run, const std::string& output,
                                    runtime::ThreadPool& pool, const std::function<bool()>& cancelled);

  [[nodiscard]] Result<std::optional<Matrix>> matrix(const runtime::TensorSpec& spec) const override;
  [[nodiscard]] std::optional<std::vector<float>> vector(const runtime::TensorSpec& spec) const override;
  [[nodiscard]] const FitReport& report() const { return report_; }
  Status remove_work() const { return folder_.remove(); }

 private:
  FittedModel(WorkFolder folder, bool is_float) : folder_(std::move(folder)), is_float_(is_float) {}
  // As calibration left it.
  [[nodiscard]] Result<const FittedLinear*> calibrated(const runtime::TensorSpec& spec) const;

  WorkFolder folder_;
  bool is_float_;
  FitReport report_;
  std::optional<TunableModel> tuned_;
  mutable std::int32_t layer_ = -1;  // of loaded_
  mutable FittedLayer loaded_;
};

}  // namespace sterna::convert
