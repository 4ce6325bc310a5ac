#include "convert/fitted_model.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>

#include "convert/calibrate/held_out.h"
#include "convert/graph/load.h"
#include "convert/hf_names.h"
#include "convert/matrix_source.h"
#include "convert/recover/pass.h"
#include "convert/recover/teacher.h"
#include "convert/split_rows.h"
#include "convert/trained.h"
#include "kernels/ternary_matmul/pack.h"
#include "runtime/format.h"

namespace sterna::convert {
namespace {

using runtime::Part;
using runtime::Role;
using runtime::TensorSpec;

// Tuning sees more text than the fit, as it is the text that it could learn by heart; the teacher's states of
// it lie in memory.
constexpr std::size_t kRecoverTokens = 262144;
constexpr std::size_t kTeacherBytes = 640U << 20;
constexpr std::size_t kReproducibleBatch = 2;  // windows of a step

// What decides the result of a fit, for recognising its work folder.
std::string settings_of(const Checkpoint& checkpoint, const FitRun& run, std::size_t planes,
                        const CalibrationWindows& windows) {
  const CalibrationOptions& o = run.calibration;
  const std::string size = run.bits_per_weight ? fmt::format("{} bits per weight", *run.bits_per_weight)
                                               : fmt::format("{} planes", planes);
  std::string settings = fmt::format(
      "{}, {}, calibrated on {}\nseed {}, window {}, tokens {:08x}\nrotation {}, act order {}, "
      "feedback {}, alpha {}, beta {}, descent {}\n",
      checkpoint.directory(), size, windows.text.text, o.text.seed, windows.window,
      runtime::crc32_of(std::as_bytes(std::span(windows.ids))), o.rotate, o.fit.act_order, o.fit.feedback,
      o.fit.alpha, o.fit.beta, o.fit.descent_rounds);
  for (const std::string& file : checkpoint.files()) {
    std::error_code ignored;
    settings += fmt::format("{} {} {}\n", file, std::filesystem::file_size(file, ignored),
                            std::filesystem::last_write_time(file, ignored).time_since_epoch().count());
  }
  return settings;
}

// The rows of an embedding as the file will hold them.
void narrow_rows(EmbeddingForm form, std::size_t columns, std::vector<float>& rows) {
  if (form != EmbeddingForm::int8) return;
  for (std::size_t at = 0; at < rows.size(); at += columns) {
    const auto row = std::span(rows).subspan(at, columns);
    const float step = int8_step(row);
    for (float& x : row) x = step * int8_level(x, step);
  }
}

// The embedding and the head, once as the checkpoint has them and once as the file will.
struct Heads {
  std::vector<float> embedding, head, norm;  // head: empty when tied
  std::vector<float> narrow_embedding, narrow_head;

  [[nodiscard]] std::span<const float> rows() const { return head.empty() ? embedding : head; }
  [[nodiscard]] std::span<const float> narrow_rows() const {
    return narrow_head.empty() ? narrow_embedding : narrow_head;
  }
};

Result<Heads> load_heads(const Checkpoint& checkpoint, const HfModel& model, EmbeddingForm form) {
  Heads heads;
  for (const TensorSpec& spec : runtime::tensor_list(model.config)) {
    if (spec.layer >= 0) continue;
    STERNA_TRY(std::vector<float> values, load_floats(checkpoint, model, spec));
    (spec.role == Role::token_embedding ? heads.embedding
     : spec.role == Role::output        ? heads.head
                                        : heads.norm) = std::move(values);
  }
  heads.narrow_embedding = heads.embedding;
  heads.narrow_head = heads.head;
  narrow_rows(form, model.config.hidden, heads.narrow_embedding);
  narrow_rows(form, model.config.hidden, heads.narrow_head);
  return heads;
}

// The integers and scales of a trained ternary matrix, one scale for each group.
LevelMatrix levels_of(const PackedMatrix& packed) {
  LevelMatrix m = LevelMatrix::zeros(packed.rows, packed.columns, packed.planes);
  const kernels::TernaryView view = packed.view();
  std::vector<std::int8_t> block(kernels::kTileRows * packed.columns);
  for (std::size_t row = 0; row < packed.rows; row += kernels::kTileRows) {
    kernels::unpack_block(view, row / kernels::kTileRows, block.data());
    const std::size_t count = std::min(kernels::kTileRows, packed.rows - row) * packed.columns;
    std::copy_n(block.begin(), count, m.levels.begin() + static_cast<std::ptrdiff_t>(row * packed.columns));
  }
  for (std::size_t r = 0; r < packed.rows; ++r) {
    for (std::size_t g = 0; g < m.groups(); ++g)
      m.scales[r * m.groups() + g] = kernels::scale_at(view, r, g * kernels::kGroupColumns);
  }
  return m;
}

// The block without its linears' weights, and their levels.
Result<TunableBlock> calibrated_block(const Checkpoint& checkpoint, const HfModel& model, std::size_t layer,
                                      FittedLayer fitted) {
  TunableBlock block;
  STERNA_TRY(block.weights, load_block_vectors(checkpoint, model, layer));
  for (const Role role : kLinearRoles) {
    FittedLinear& linear = fitted.linears[linear_index(role)];
    auto& rotation = block.weights.rotations[static_cast<std::size_t>(family_of(role))];
    if (rotation == nullptr)
      rotation = make_rotation(linear.matrix.columns, linear.rotation_block, linear.rotation_seed);
    block.levels[linear_index(role)] = std::move(linear.matrix);
  }
  return block;
}

Result<TunableBlock> trained_block(const Checkpoint& checkpoint, const HfModel& model, std::size_t layer,
                                   runtime::ThreadPool& pool) {
  TunableBlock block;
  STERNA_TRY(block.weights, load_block_vectors(checkpoint, model, layer));
  for (const TensorSpec& spec : runtime::tensor_list(model.config)) {
    if (spec.layer != static_cast<std::int32_t>(layer) || spec.is_vector()) continue;
    if (!is_trained_linear(model, spec)) {
      STERNA_TRY(linear_of(block.weights, spec.role).weight, load_floats(checkpoint, model, spec));
      continue;
    }
    STERNA_TRY(const PackedMatrix packed, pack_trained(checkpoint, model, spec, pool));
    block.levels[linear_index(spec.role)] = levels_of(packed);
  }
  return block;
}

// Linears that are ternary by their values would be changed by a fit. Matrices of zeros have no scale that a
// fit could spoil.
Status refuse_ternary(const Checkpoint& checkpoint, const HfModel& model, runtime::ThreadPool& pool) {
  for (const TensorSpec& spec : runtime::tensor_list(model.config)) {
    if (!spec.is_linear()) continue;
    STERNA_TRY(const StoredTensor* tensor, find_tensor(checkpoint, model, spec));
    STERNA_TRY(const MatrixSource source, matrix_source(checkpoint, *tensor));
    STERNA_TRY(const std::optional<PackedMatrix> exact, pack_by_value(source, pool));
    if (!exact) continue;
    const auto scales = exact->scales.bytes();
    if (std::ranges::all_of(scales, [](std::byte b) { return b == std::byte{}; })) continue;
    return fail(
        "{}: tensor '{}' is ternary already and would be changed by the fit; without --calibrate and "
        "--recover "
        "it is packed exactly",
        checkpoint.path_of(*tensor), tensor->name);
  }
  return {};
}

class Fitter {
 public:
  Fitter(const Checkpoint& checkpoint, const HfModel& model, const runtime::Tokenizer& tokenizer,
         const FitRun& run, runtime::ThreadPool& pool, const std::function<bool()>& cancelled)
      : checkpoint_(checkpoint),
        model_(model),
        tokenizer_(tokenizer),
        run_(run),
        pool_(pool),
        cancelled_(cancelled),
        is_float_(model.quantization.form == TrainedForm::none) {}

  [[nodiscard]] Result<CalibrationWindows> windows() const { return windows_of(run_.calibration.text); }

  Status calibrate_layers(const CalibrationWindows& windows, std::size_t planes, const WorkFolder& folder,
                          FitReport& report) {
    if (run_.bits_per_weight) {
      STERNA_TRY(report.plan,
                 plan_planes(checkpoint_, model_, windows, *run_.bits_per_weight, run_.calibration, folder,
                             {pool_, *run_.kernels, {}, run_.progress, cancelled_}));
    }
    const auto planes_of = [&](const TensorSpec& spec) {
      return report.plan ? report.plan->planes(spec) : planes;
    };
    const CalibrationSurroundings surroundings{pool_, *run_.kernels, run_.on_layer, run_.progress,
                                               cancelled_};
    STERNA_TRY(CalibrationReport done,
               calibrate(checkpoint_, model_, windows, planes_of, run_.calibration, folder, surroundings));
    if (done.held_out.tokens > 0) report.calibrated = report.final = done.held_out;
    return {};
  }

  Result<TunableModel> tune(EmbeddingForm form, const WorkFolder& folder, FitReport& report) {
    STERNA_TRY(const CalibrationWindows windows, recover_windows());
    STERNA_TRY(heads_, load_heads(checkpoint_, model_, form));
    const TextWindows text{windows.ids, windows.window};
    std::vector<float> states;
    if (is_float_) {
      const TeacherWeights weights{heads_.embedding, heads_.norm, model_.config.layers,
                                   [&](std::size_t layer) { return load_block(checkpoint_, model_, layer); }};
      STERNA_TRY(states, teacher_states(model_.config, weights, text, *run_.kernels, pool_, cancelled_));
    }
    const Teacher teacher = teacher_in_memory(heads_.rows(), states);
    STERNA_TRY(TunableModel model, tunable(folder));
    RecoverOptions options;
    options.minutes = run_.recover_minutes;
    options.steps = run_.recover_steps;
    // All threads have work, but for who needs the same bits on another machine.
    options.batch = run_.recover_steps > 0 ? kReproducibleBatch : std::max(kReproducibleBatch, pool_.size());
    options.held_out = std::max<std::size_t>(1, windows.held_out());
    options.seed = run_.calibration.text.seed + 1;
    options.state = fmt::format("{}/recover", folder.path());
    STERNA_TRY(report.recovered, recover(model, text, is_float_ ? &teacher : nullptr, options, *run_.kernels,
                                         pool_, run_.on_step, cancelled_));
    if (is_float_) {
      const std::size_t from = (windows.windows() - options.held_out) * windows.window;
      STERNA_TRY(report.final, compare({std::span(windows.ids).subspan(from), windows.window}, model));
    }
    return model;
  }

 private:
  // The tuned model beside the float model on some windows.
  Result<HeldOut> compare(const TextWindows& text, const TunableModel& model) {
    const auto streams = [&](const TeacherWeights& weights) {
      return residual_streams(model_.config, weights, text, *run_.kernels, pool_, cancelled_);
    };
    STERNA_TRY(const std::vector<float> theirs,
               streams({heads_.embedding, heads_.norm, model_.config.layers,
                        [&](std::size_t layer) { return load_block(checkpoint_, model_, layer); }}));
    STERNA_TRY(
        const std::vector<float> ours,
        streams({model.embedding, model.norm, model_.config.layers,
                 [&](std::size_t layer) -> Result<BlockWeights> { return dense(model.blocks[layer]); }}));
    std::vector<HeldOutWindow> windows;
    const std::size_t floats = text.tokens * model_.config.hidden;
    for (std::size_t i = 0; i < text.count(); ++i) {
      windows.push_back({text.window(i), std::span(theirs).subspan(i * floats, floats),
                         std::span(ours).subspan(i * floats, floats)});
    }
    return measure_held_out(windows, {heads_.norm, heads_.rows()}, {model.norm, model.head},
                            model_.config.norm_eps, *run_.kernels, pool_);
  }

  static BlockWeights dense(const TunableBlock& block) {
    BlockWeights weights = block.weights;
    for (const Role role : kLinearRoles) {
      const LevelMatrix& levels = block.levels[linear_index(role)];
      if (levels.rows == 0) continue;
      DenseLinear& linear = linear_of(weights, role);
      linear.weight.resize(levels.rows * levels.columns);
      levels.dequantize(linear.weight);
    }
    return weights;
  }

  // As many windows of the text as the memory for the teacher's states allows.
  [[nodiscard]] Result<CalibrationWindows> recover_windows() const {
    CalibrationText text = run_.calibration.text;
    const std::size_t fitting = kTeacherBytes / (model_.config.hidden * sizeof(float));
    text.tokens = std::max(text.tokens, std::min(kRecoverTokens, fitting));
    return windows_of(text);
  }

  [[nodiscard]] Result<CalibrationWindows> windows_of(const CalibrationText& text) const {
    const std::size_t window = std::min<std::size_t>(run_.calibration.window, model_.config.context);
    return calibration_windows(text, tokenizer_, window);
  }

  Result<TunableModel> tunable(const WorkFolder& folder) const {
    TunableModel model;
    model.config = model_.config;
    model.embedding = heads_.narrow_embedding;
    model.head = heads_.narrow_rows();
    model.norm = heads_.norm;
    for (std::size_t layer = 0; layer < model_.config.layers; ++layer) {
      if (is_float_) {
        STERNA_TRY(FittedLayer fitted, folder.load(layer));
        STERNA_TRY(TunableBlock block, calibrated_block(checkpoint_, model_, layer, std::move(fitted)));
        model.blocks.push_back(std::move(block));
      } else {
        STERNA_TRY(TunableBlock block, trained_block(checkpoint_, model_, layer, pool_));
        model.blocks.push_back(std::move(block));
      }
    }
    return model;
  }

  const Checkpoint& checkpoint_;
  const HfModel& model_;
  const runtime::Tokenizer& tokenizer_;
  const FitRun& run_;
  runtime::ThreadPool& pool_;
  const std::function<bool()>& cancelled_;
  bool is_float_;
  Heads heads_;
};

}  // namespace

Result<FittedModel> FittedModel::create(const Checkpoint& checkpoint, const HfModel& model,
                                        const runtime::Tokenizer& tokenizer, std::size_t planes,
                                        EmbeddingForm embedding, const FitRun& run, const std::string& output,
                                        runtime::ThreadPool& pool, const std::function<bool()>& cancelled) {
  const bool is_float = model.quantization.form == TrainedForm::none;
  if (is_float) STERNA_CHECK(refuse_ternary(checkpoint, model, pool));
  if (run.bits_per_weight) STERNA_CHECK(check_budget(model.config, *run.bits_per_weight));
  Fitter fitter(checkpoint, model, tokenizer, run, pool, cancelled);
  STERNA_TRY(const CalibrationWindows windows, fitter.windows());
  STERNA_TRY(WorkFolder folder,
             WorkFolder::open(output, settings_of(checkpoint, run, planes, windows), run.calibration.resume));
  FittedModel fitted(std::move(folder), is_float);
  fitted.report_.text = windows.text;
  if (is_float) {
    STERNA_CHECK(fitter.calibrate_layers(windows, planes, fitted.folder_, fitted.report_));
  }
  if (run.recover_minutes > 0.0 || run.recover_steps > 0) {
    STERNA_TRY(TunableModel tuned, fitter.tune(embedding, fitted.folder_, fitted.report_));
    tuned.embedding = tuned.head = {};  // they are the fitter's
    fitted.tuned_ = std::move(tuned);
  }
  return fitted;
}

Result<const FittedLinear*> FittedModel::calibrated(const TensorSpec& spec) const {
  if (layer_ != spec.layer) {
    STERNA_TRY(loaded_, folder_.load(static_cast<std::size_t>(spec.layer)));
    layer_ = spec.layer;
  }
  return &loaded_.linears[linear_index(spec.role)];
}

Result<std::optional<FittedMatrices::Matrix>> FittedModel::matrix(const TensorSpec& spec) const {
  if (!tuned_) {
    STERNA_TRY(const FittedLinear* linear, calibrated(spec));
    return std::optional(Matrix{linear->matrix.pack(),
                                linear->rotation_block < 2 ? 0 : linear->rotation_block,
                                linear->rotation_seed, linear->relative_error});
  }
  const TunableBlock& block = tuned_->blocks[static_cast<std::size_t>(spec.layer)];
  const LevelMatrix& levels = block.levels[linear_index(spec.role)];
  if (levels.rows == 0) return std::optional<Matrix>();
  Matrix out{levels.pack(), 0, 0, {}};
  if (is_float_) {  // tuning changes little of the error, and does not measure it
    STERNA_TRY(const FittedLinear* linear, calibrated(spec));
    out.relative_error = linear->relative_error;
  }
  if (const Rotation* rotation = block.weights.rotation(family_of(spec.role))) {
    out.rotation_block = rotation->block;
    out.rotation_seed = rotation->seed;
  }
  return std::optional(std::move(out));
}

std::optional<std::vector<float>> FittedModel::vector(const TensorSpec& spec) const {
  if (!tuned_ || spec.part == Part::bias) return {};
  if (spec.role == Role::output_norm) return tuned_->norm;
  const BlockWeights& weights = tuned_->blocks[static_cast<std::size_t>(spec.layer)].weights;
  return vector_in(weights, spec);
}

}  // namespace sterna::convert
