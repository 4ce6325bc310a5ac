#include "convert/calibrate/measure_planes.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "convert/calibrate/rotated_block.h"
#include "convert/calibrate/row_fit.h"
#include "convert/calibrate/store.h"
#include "convert/graph/backward.h"
#include "convert/graph/head.h"
#include "convert/graph/load.h"
#include "convert/hf_names.h"
#include "convert/matrix_source.h"

namespace sterna::convert {
namespace {

using runtime::Role;

constexpr std::size_t kLinears = std::size(kLinearRoles);
// Windows at most: a third of them to look at, the others to fit to.
constexpr std::size_t kWindows = 18;

// What is held out stays so.
std::size_t windows_of(const CalibrationWindows& windows) {
  return std::min(kWindows, windows.windows() - windows.held_out());
}

class Measurement {
 public:
  Measurement(const Checkpoint& checkpoint, const HfModel& model, const CalibrationWindows& windows,
              const CalibrationOptions& options, const CalibrationSurroundings& surroundings)
      : checkpoint_(checkpoint),
        model_(model),
        ids_(std::span(windows.ids).first(windows_of(windows) * windows.window)),
        tokens_(windows.window),
        count_(ids_.size() / tokens_),
        first_(count_ - (count_ + 2) / 3),
        options_(options),
        surroundings_(surroundings),
        graph_(model.config, surroundings.kernels, windows.window),
        scratch_(surroundings.pool.size()) {
    if (options.rotate) rotations_ = input_rotations(graph_);
    for (std::size_t i = 0; i < surroundings.pool.size(); ++i) backward_.emplace_back(graph_);
  }

  // The residual stream at the entry of every block, and its derivative after the last one.
  Status forward(const std::string& folder);
  // Of the blocks from the last to the first: the losses of a block's linears.
  Result<std::vector<LossOfPlanes>> back(std::size_t layer);

 private:
  [[nodiscard]] std::span<float> stream(std::size_t window) {
    const std::size_t floats = tokens_ * model_.config.hidden;
    return std::span(x_).subspan(window * floats, floats);
  }
  [[nodiscard]] std::span<const std::int32_t> ids(std::size_t window) const {
    return ids_.subspan(window * tokens_, tokens_);
  }
  // body(window, worker) -> Status on the threads, for the windows from `first` on
  template <class Body>
  Status for_windows(std::size_t first, Body&& body) {
    FirstError error;
    surroundings_.pool.run(count_ - first, 1, [&](std::size_t begin, std::size_t end, std::size_t worker) {
      for (std::size_t i = first + begin; i < first + end; ++i) {
        if (const Status status = body(i, worker); !status) error.report(i, status.error());
      }
    });
    return error.status();
  }
  Status embed();
  Status through_head();
  Status report(std::size_t done) const;
  using Inputs = std::array<std::vector<float>, kFamilies>;  // [windows, tokens, columns]
  Result<Inputs> inputs(const BlockWeights& block, std::size_t layer);
  // Of one linear.
  struct Importance {
    std::vector<float> squares;      // LossTask::importance
    std::vector<float> derivatives;  // LossTask::derivatives
  };
  Result<std::vector<Importance>> importance(BlockWeights& block, std::size_t layer);
  void keep(const std::vector<float>& outputs, std::size_t window, Importance& importance) const;

  const Checkpoint& checkpoint_;
  const HfModel& model_;
  std::span<const std::int32_t> ids_;
  std::size_t tokens_;  // of a window
  std::size_t count_;
  std::size_t first_;  // of the windows that are looked at; those in front are fitted to
  const CalibrationOptions& options_;
  const CalibrationSurroundings& surroundings_;
  BlockGraph graph_;
  Rotations rotations_;
  std::vector<BlockGraph::Scratch> scratch_;
  std::vector<BlockBackward> backward_;
  std::vector<ActivationStore> entries_;  // [layers]
  std::vector<float> x_;                  // [windows, tokens, hidden], or its derivative
};

Status Measurement::report(std::size_t done) const {
  if (surroundings_.cancelled()) return fail("interrupted");
  if (surroundings_.progress) surroundings_.progress(done, std::size_t{2} * model_.config.layers, "planes");
  return {};
}

Status Measurement::embed() {
  STERNA_TRY(const EmbeddingRow embedding, embedding_rows(checkpoint_, model_));
  const std::size_t hidden = model_.config.hidden;
  x_.resize(ids_.size() * hidden);
  for (std::size_t t = 0; t < ids_.size(); ++t) {
    STERNA_CHECK(embedding(ids_[t], std::span(x_).subspan(t * hidden, hidden)));
  }
  return {};
}

Status Measurement::forward(const std::string& folder) {
  STERNA_CHECK(embed());
  std::size_t memory = options_.memory;
  for (std::size_t layer = 0; layer < model_.config.layers; ++layer) {
    STERNA_CHECK(report(layer));
    STERNA_TRY(ActivationStore entry,
               ActivationStore::create(ids_.size(), model_.config.hidden, memory, folder));
    entries_.push_back(std::move(entry));
    STERNA_TRY(const BlockWeights block, load_block(checkpoint_, model_, layer));
    const Status status = for_windows(0, [&](std::size_t i, std::size_t worker) -> Status {
      STERNA_CHECK(entries_.back().write(i * tokens_, stream(i)));
      graph_.forward(block, stream(i), scratch_[worker]);
      return {};
    });
    if (!status) return status.error();
  }
  return through_head();
}

Status Measurement::through_head() {
  STERNA_TRY(const std::vector<float> rows, load_head(checkpoint_, model_));
  STERNA_TRY(const std::vector<float> norm, load_floats(checkpoint_, model_, Role::output_norm));
  return for_windows(first_, [&](std::size_t i, std::size_t) -> Status {
    HeadLoss head(graph_.kernels(), model_.config.norm_eps);
    const double loss = head.backward({norm, rows}, {{}, {}, ids(i)}, stream(i), {});
    if (!std::isfinite(loss)) {
      return fail("the model's activations on the calibration text are not finite");
    }
    return {};
  });
}

Result<Measurement::Inputs> Measurement::inputs(const BlockWeights& block, std::size_t layer) {
  Inputs inputs;
  const auto input = [&](Family family, std::size_t window) {
    const std::size_t floats = tokens_ * graph_.columns(family);
    return std::span(inputs[static_cast<std::size_t>(family)]).subspan(window * floats, floats);
  };
  for (std::size_t f = 0; f < kFamilies; ++f)
    inputs[f].resize(ids_.size() * graph_.columns(static_cast<Family>(f)));
  const Status status = for_windows(0, [&](std::size_t i, std::size_t worker) -> Status {
    std::vector<float> x(tokens_ * model_.config.hidden);
    STERNA_CHECK(entries_[layer].read(i * tokens_, x));
    graph_.qkv_input(block, x, input(Family::qkv, i).data());
    graph_.o_input(block, input(Family::qkv, i), scratch_[worker], input(Family::o, i).data());
    BlockGraph::apply(block.o, input(Family::o, i), x.data(), true);
    graph_.gate_up_input(block, x, input(Family::gate_up, i).data());
    graph_.down_input(block, input(Family::gate_up, i), scratch_[worker], input(Family::down, i).data());
    return {};
  });
  if (!status) return status.error();
  return inputs;
}

void Measurement::keep(const std::vector<float>& outputs, std::size_t window, Importance& importance) const {
  const std::size_t rows = importance.squares.size();
  const std::size_t columns = importance.derivatives.size() / ((count_ - first_) * tokens_);
  float* out = importance.derivatives.data() + (window - first_) * tokens_ * columns;
  // The windows' losses are means over all tokens but the last.
  const auto predicted = static_cast<float>(tokens_ - 1);
  for (std::size_t t = 0; t < tokens_; ++t) {
    for (const std::size_t first : sampled_pieces(rows)) {
      for (std::size_t r = first; r < std::min(rows, first + RowFit::kRows); ++r)
        *out++ = predicted * outputs[t * rows + r];
    }
  }
}

Result<std::vector<Measurement::Importance>> Measurement::importance(BlockWeights& block, std::size_t layer) {
  std::vector<Importance> out(kLinears);
  std::vector<std::vector<float>> squares(count_ * kLinears);
  for (std::size_t l = 0; l < kLinears; ++l) {
    const std::size_t rows = linear_of(block, kLinearRoles[l]).rows;
    out[l].squares.resize(rows);
    out[l].derivatives.resize((count_ - first_) * tokens_ * sampled_rows(rows));
    for (std::size_t i = first_; i < count_; ++i) squares[i * kLinears + l].resize(rows);
  }
  const Status status = for_windows(first_, [&](std::size_t i, std::size_t worker) -> Status {
    std::vector<float> x(tokens_ * model_.config.hidden);
    STERNA_CHECK(entries_[layer].read(i * tokens_, x));
    std::array<std::vector<float>, kLinears> outputs;
    BlockGradient gradient;
    LinearGradient* const linears[kLinears] = {&gradient.q,    &gradient.k,  &gradient.v,   &gradient.o,
                                               &gradient.gate, &gradient.up, &gradient.down};
    for (std::size_t l = 0; l < kLinears; ++l) {
      outputs[l].resize(tokens_ * out[l].squares.size());
      linears[l]->outputs = outputs[l];
      linears[l]->output_squares = squares[i * kLinears + l];
    }
    backward_[worker].run(block, x, stream(i), gradient);
    for (std::size_t l = 0; l < kLinears; ++l) keep(outputs[l], i, out[l]);
    return {};
  });
  if (!status) return status.error();
  const auto predicted = static_cast<float>(tokens_ - 1);
  const float factor = predicted * predicted / static_cast<float>((count_ - first_) * tokens_);
  for (std::size_t l = 0; l < kLinears; ++l) {
    for (std::size_t r = 0; r < out[l].squares.size(); ++r) {
      for (std::size_t i = first_; i < count_; ++i) out[l].squares[r] += squares[i * kLinears + l][r];
      out[l].squares[r] *= factor;
    }
  }
  return out;
}

Result<std::vector<LossOfPlanes>> Measurement::back(std::size_t layer) {
  STERNA_CHECK(report(std::size_t{2} * model_.config.layers - 1 - layer));
  STERNA_TRY(BlockWeights block,
             load_rotated_block(checkpoint_, model_, layer, graph_, rotations_, surroundings_.pool));
  STERNA_TRY(const std::vector<Importance> importances, importance(block, layer));
  STERNA_TRY(const Inputs input, inputs(block, layer));
  std::vector<LossOfPlanes> losses(kLinears);
  for (std::size_t f = 0; f < kFamilies; ++f) {
    const std::size_t columns = graph_.columns(static_cast<Family>(f));
    Moments moments(columns, 0);
    moments.add(std::span(input[f]).first(std::max<std::size_t>(1, first_) * tokens_ * columns), {}, {},
                surroundings_.pool);
    moments.finish();
    if (!moments.finite()) {
      return fail("layer {}: the model's activations on the calibration text are not finite", layer);
    }
    STERNA_TRY(const Factor factor, factorise(moments.second(), columns, options_.fit.act_order));
    std::vector<LossTask> tasks;
    std::vector<std::size_t> places;
    for (const Role role : kLinearRoles) {
      if (static_cast<std::size_t>(family_of(role)) != f) continue;
      places.push_back(linear_index(role));
      const Importance& i = importances[places.back()];
      tasks.push_back({linear_of(block, role).weight, i.squares, i.derivatives});
    }
    const auto found =
        losses_of_planes(tasks, moments, factor, std::span(input[f]).subspan(first_ * tokens_ * columns),
                         options_.fit, surroundings_.pool);
    for (std::size_t i = 0; i < found.size(); ++i) {
      if (!std::ranges::all_of(found[i], [](double x) { return std::isfinite(x); })) {
        return fail("layer {}: the derivatives on the calibration text are not finite", layer);
      }
      losses[places[i]] = found[i];
    }
  }
  return losses;
}

}  // namespace

Result<std::vector<LossOfPlanes>> measure_plane_losses(const Checkpoint& checkpoint, const HfModel& model,
                                                       const CalibrationWindows& windows,
                                                       const CalibrationOptions& options,
                                                       const std::string& folder,
                                                       const CalibrationSurroundings& surroundings) {
  Measurement measurement(checkpoint, model, windows, options, surroundings);
  STERNA_CHECK(measurement.forward(folder));
  std::vector<LossOfPlanes> losses(model.config.layers * kLinears);
  for (std::size_t layer = model.config.layers; layer-- > 0;) {
    STERNA_TRY(const std::vector<LossOfPlanes> found, measurement.back(layer));
    std::ranges::copy(found, losses.begin() + static_cast<std::ptrdiff_t>(layer * kLinears));
  }
  return losses;
}

}  // namespace sterna::convert
