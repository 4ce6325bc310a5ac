#include "convert/calibrate/plane_losses.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstdlib>

#include "convert/calibrate/rotated_block.h"
#include "convert/calibrate/row_fit.h"
#include "convert/calibrate/store.h"
#include "convert/graph/backward.h"
#include "convert/graph/head.h"
#include "convert/graph/load.h"
#include "convert/hf_names.h"
#include "convert/matrix_source.h"
#include "runtime/blas.h"

namespace sterna::convert {
namespace {

using kernels::kGroupColumns;
using runtime::Role;
using runtime::TensorSpec;

constexpr std::size_t kLinears = std::size(kLinearRoles);
// Windows at most: a third of them to look at, the others to fit to.
constexpr std::size_t kWindows = 18;
// Of the pieces of a matrix one in kStride is fitted, but at least kLeastPieces.
constexpr std::size_t kStride = 8;
constexpr std::size_t kLeastPieces = 2;
// Mean square errors of a normal variable of variance 1 on 3, 9, 27 even levels with the best step.
constexpr LossOfPlanes kDistortion{0.1902, 0.0307, 0.0047};

// A piece of up to RowFit::kRows rows of one of the tasks.
struct Piece {
  std::size_t task = 0;
  std::size_t row = 0;
  std::size_t rows = 0;
  std::size_t place = 0;  // its first column in the task's derivatives
};

std::size_t rows_of_piece(std::size_t first, std::size_t rows) {
  return std::min(RowFit::kRows, rows - first);
}

std::vector<Piece> pieces_of(std::span<const LossTask> tasks) {
  std::vector<Piece> pieces;
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    const std::size_t rows = tasks[i].importance.size();
    std::size_t place = 0;
    for (const std::size_t row : sampled_pieces(rows)) {
      pieces.push_back({i, row, rows_of_piece(row, rows), place});
      place += pieces.back().rows;
    }
  }
  return pieces;
}

std::span<const float> weight_of(const LossTask& task, const Piece& piece) {
  const std::size_t columns = task.weight.size() / task.importance.size();
  return task.weight.subspan(piece.row * columns, piece.rows * columns);
}

// 1/2 sum over r of mean over t of (dl/dy_tr)^2 (e_r x_t)^2, e = w - what was fitted.
double fitted_loss(const LossTask& task, const Piece& piece, const LevelMatrix& fitted,
                   std::span<const float> inputs) {
  const std::size_t n = fitted.columns;
  const std::size_t tokens = inputs.size() / n;
  const std::size_t stride = task.derivatives.size() / tokens;
  const auto weight = weight_of(task, piece);
  std::vector<float> error(weight.size());
  fitted.dequantize(error);
  std::ranges::transform(weight, error, error.begin(), std::minus<>());
  std::vector<float> moved(tokens * piece.rows);
  runtime::blas::multiply(tokens, piece.rows, n, 1.0F, {inputs.data(), n},
                          {error.data(), n, runtime::blas::Form::transposed}, 0.0F, moved.data(), piece.rows);
  double sum = 0.0;
  for (std::size_t t = 0; t < tokens; ++t) {
    const float* derivative = task.derivatives.data() + t * stride + piece.place;
    for (std::size_t r = 0; r < piece.rows; ++r) {
      const double change =
          static_cast<double>(derivative[r]) * static_cast<double>(moved[t * piece.rows + r]);
      sum += change * change;
    }
  }
  return 0.5 * sum / static_cast<double>(tokens);
}

}  // namespace

std::vector<std::size_t> sampled_pieces(std::size_t rows) {
  const std::size_t all = (rows + RowFit::kRows - 1) / RowFit::kRows;
  std::vector<std::size_t> first(std::min(all, std::max(kLeastPieces, all / kStride)));
  for (std::size_t k = 0; k < first.size(); ++k) first[k] = k * all / first.size() * RowFit::kRows;
  return first;
}

std::size_t sampled_rows(std::size_t rows) {
  std::size_t sum = 0;
  for (const std::size_t first : sampled_pieces(rows)) sum += rows_of_piece(first, rows);
  return sum;
}

LossOfPlanes expected_loss(std::span<const float> weight, std::span<const float> importance,
                           const Factor& factor) {
  const std::size_t n = factor.columns;
  const std::size_t groups = (n + kGroupColumns - 1) / kGroupColumns;
  std::vector<double> cost(groups);  // sum over the group's columns of 1 / U_jj^2, by the group's columns
  for (std::size_t j = 0; j < n; ++j) {
    const auto u = static_cast<double>(factor.upper[j * n + j]);
    const std::size_t group = factor.order[j] / kGroupColumns;
    const std::size_t columns = std::min(kGroupColumns, n - group * kGroupColumns);
    cost[group] += 1.0 / (u * u * static_cast<double>(columns));
  }
  double sum = 0.0;
  for (std::size_t r = 0; r < importance.size(); ++r) {
    double row = 0.0;
    for (std::size_t g = 0; g < groups; ++g) {
      double squares = 0.0;
      for (std::size_t c = g * kGroupColumns; c < std::min(n, (g + 1) * kGroupColumns); ++c) {
        const auto w = static_cast<double>(weight[r * n + c]);
        squares += w * w;
      }
      row += squares * cost[g];
    }
    sum += 0.5 * static_cast<double>(importance[r]) * row;
  }
  LossOfPlanes out = kDistortion;
  for (double& x : out) x *= sum;
  return out;
}

std::vector<LossOfPlanes> losses_of_planes(std::span<const LossTask> tasks, const Moments& moments,
                                           const Factor& factor, std::span<const float> inputs,
                                           const FitOptions& options, runtime::ThreadPool& pool) {
  FitOptions plain = options;  // the float model's inputs: there is nothing to make good
  plain.alpha = plain.beta = 0.0;
  const std::vector<Piece> pieces = pieces_of(tasks);
  std::vector<FitTask> fits;
  fits.reserve(pieces.size() * kernels::kMaxPlanes);
  for (const Piece& piece : pieces) {
    for (std::size_t planes = 1; planes <= kernels::kMaxPlanes; ++planes)
      fits.push_back({weight_of(tasks[piece.task], piece), piece.rows, planes, false});
  }
  const std::vector<Fitted> fitted = fit(fits, moments, factor, plain, pool);
  std::vector<LossOfPlanes> found(pieces.size());
  std::vector<LossOfPlanes> expected(pieces.size());
  pool.run(pieces.size(), 1, [&](std::size_t begin, std::size_t end, std::size_t) {
    for (std::size_t i = begin; i < end; ++i) {
      const Piece& piece = pieces[i];
      const LossTask& task = tasks[piece.task];
      expected[i] =
          expected_loss(weight_of(task, piece), task.importance.subspan(piece.row, piece.rows), factor);
      for (std::size_t k = 0; k < kernels::kMaxPlanes; ++k)
        found[i][k] = fitted_loss(task, piece, fitted[i * kernels::kMaxPlanes + k].matrix, inputs);
    }
  });
  std::vector<LossOfPlanes> out(tasks.size());
  pool.run(tasks.size(), 1, [&](std::size_t begin, std::size_t end, std::size_t) {
    for (std::size_t i = begin; i < end; ++i)
      out[i] = expected_loss(tasks[i].weight, tasks[i].importance, factor);
  });
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    for (std::size_t k = 0; k < kernels::kMaxPlanes; ++k) {
      double ours = 0.0;
      double theirs = 0.0;
      for (std::size_t p = 0; p < pieces.size(); ++p) {
        if (pieces[p].task != i) continue;
        ours += found[p][k];
        theirs += expected[p][k];
      }
      if (theirs > 0.0) out[i][k] *= ours / theirs;
    }
  }
  return out;
}

namespace {

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
  if (surroundings_.progress) surroundings_.progress(done, 2 * model_.config.layers, "planes");
  return {};
}

Status Measurement::embed() {
  const std::vector<TensorSpec> specs = runtime::tensor_list(model_.config);
  const TensorSpec& spec = *std::ranges::find(specs, Role::token_embedding, &TensorSpec::role);
  STERNA_TRY(const StoredTensor* tensor, find_tensor(checkpoint_, model_, spec));
  const std::size_t hidden = model_.config.hidden;
  x_.resize(ids_.size() * hidden);
  for (std::size_t t = 0; t < ids_.size(); ++t) {
    const auto id = static_cast<std::uint64_t>(ids_[t]);
    STERNA_CHECK(checkpoint_.read_floats(*tensor, id, id + 1, std::span(x_).subspan(t * hidden, hidden)));
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
  const std::vector<TensorSpec> specs = runtime::tensor_list(model_.config);
  const auto load = [&](Role role) {
    return load_floats(checkpoint_, model_, *std::ranges::find(specs, role, &TensorSpec::role));
  };
  STERNA_TRY(const std::vector<float> rows,
             load(model_.config.tied_head ? Role::token_embedding : Role::output));
  STERNA_TRY(const std::vector<float> norm, load(Role::output_norm));
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
  STERNA_CHECK(report(2 * model_.config.layers - 1 - layer));
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
