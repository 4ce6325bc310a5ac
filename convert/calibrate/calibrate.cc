#include "convert/calibrate/calibrate.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "convert/calibrate/rotated_block.h"
#include "convert/calibrate/streams.h"
#include "convert/graph/load.h"
#include "convert/hf_names.h"

namespace sterna::convert {
namespace {

using runtime::Role;
using runtime::TensorSpec;
using Clock = std::chrono::steady_clock;

constexpr Family kOrder[] = {Family::qkv, Family::o, Family::gate_up, Family::down};

Error interrupted(const WorkFolder& folder) {
  return fail("interrupted; {} holds the finished layers: --resume goes on from there", folder.path());
}

class Calibration {
 public:
  Calibration(const Checkpoint& checkpoint, const HfModel& model, const PlanesOf& planes,
              const CalibrationOptions& options, const BlockGraph& graph, const WorkFolder& folder,
              Streams& streams, const CalibrationSurroundings& surroundings)
      : checkpoint_(checkpoint),
        model_(model),
        planes_(planes),
        options_(options),
        graph_(graph),
        folder_(folder),
        streams_(streams),
        surroundings_(surroundings) {
    if (options.rotate) rotations_ = input_rotations(graph);
  }

  Result<FittedLayer> fit_layer(std::size_t layer) {
    const auto start = Clock::now();
    FittedLayer fitted;
    fitted.linears.resize(std::size(kLinearRoles));
    STERNA_TRY(BlockWeights original, rotated_block(layer));
    BlockWeights quantised = original;
    for (const Family family : kOrder) {
      if (surroundings_.cancelled()) return interrupted(folder_);
      if (surroundings_.progress) {
        surroundings_.progress(layer * kFamilies + static_cast<std::size_t>(family),
                               model_.config.layers * kFamilies, fmt::format("layer {}", layer));
      }
      STERNA_TRY(Moments moments, streams_.moments(family, original, quantised));
      if (!moments.finite()) {
        return fail("layer {}: the model's activations on the calibration text are not finite", layer);
      }
      STERNA_CHECK(fit_family(layer, family, moments, original, quantised, fitted));
    }
    STERNA_CHECK(streams_.finish_layer(original, quantised));
    fitted.seconds = std::chrono::duration<double>(Clock::now() - start).count();
    return fitted;
  }

  Status repeat_layer(std::size_t layer, const FittedLayer& fitted) {
    STERNA_TRY(const BlockWeights original, rotated_block(layer));
    BlockWeights quantised = original;
    for (const Role role : kLinearRoles) {
      DenseLinear& linear = linear_of(quantised, role);
      const LevelMatrix& matrix = fitted.linears[linear_index(role)].matrix;
      if (matrix.rows != linear.rows || matrix.columns != linear.columns) {
        return fail("layer {}: the finished part belongs to another model; leave out --resume", layer);
      }
      matrix.dequantize(linear.weight);
    }
    return streams_.skip_layer(original, quantised);
  }

 private:
  Result<BlockWeights> rotated_block(std::size_t layer) {
    return load_rotated_block(checkpoint_, model_, layer, graph_, rotations_, surroundings_.pool);
  }

  Status fit_family(std::size_t layer, Family family, const Moments& moments, BlockWeights& original,
                    BlockWeights& quantised, FittedLayer& fitted) {
    STERNA_TRY(const Factor factor, factorise(moments.second(), moments.columns(), options_.fit.act_order));
    fitted.damping[static_cast<std::size_t>(family)] = factor.damping;
    std::vector<FitTask> tasks;
    std::vector<Role> roles;
    for (const Role role : kLinearRoles) {
      if (family_of(role) != family) continue;
      const DenseLinear& linear = linear_of(original, role);
      TensorSpec spec{role,
                      runtime::Part::weight,
                      static_cast<std::int32_t>(layer),
                      static_cast<std::uint32_t>(linear.rows),
                      static_cast<std::uint32_t>(linear.columns),
                      runtime::tensor_name(role, runtime::Part::weight, static_cast<std::int32_t>(layer))};
      tasks.push_back(
          {linear.weight, linear.rows, planes_(spec), family == Family::o || family == Family::down});
      roles.push_back(role);
    }
    std::vector<Fitted> results = fit(tasks, moments, factor, options_.fit, surroundings_.pool);
    const Rotation* rotation = rotations_[static_cast<std::size_t>(family)].get();
    for (std::size_t i = 0; i < results.size(); ++i) {
      FittedLinear& out = fitted.linears[linear_index(roles[i])];
      out.matrix = std::move(results[i].matrix);
      if (rotation != nullptr) {
        out.rotation_block = rotation->block;
        out.rotation_seed = rotation->seed;
      }
      out.relative_error =
          results[i].signal > 0.0 ? std::sqrt(std::max(0.0, results[i].loss) / results[i].signal) : 0.0;
      out.plain_rows = results[i].plain_rows;
      out.matrix.dequantize(linear_of(quantised, roles[i]).weight);
    }
    return {};
  }

  const Checkpoint& checkpoint_;
  const HfModel& model_;
  const PlanesOf& planes_;
  const CalibrationOptions& options_;
  const BlockGraph& graph_;
  const WorkFolder& folder_;
  Streams& streams_;
  const CalibrationSurroundings& surroundings_;
  Rotations rotations_;
};

// Both streams' last held-out windows, through the head as the checkpoint has it.
Result<HeldOut> measure_streams(const Checkpoint& checkpoint, const HfModel& model,
                                const CalibrationWindows& windows, const BlockGraph& graph,
                                const Streams& streams, const CalibrationSurroundings& surroundings) {
  STERNA_TRY(const std::vector<float> rows, load_head(checkpoint, model));
  STERNA_TRY(const std::vector<float> norm, load_floats(checkpoint, model, Role::output_norm));
  const std::size_t count = streams.held_out();
  const std::size_t floats = windows.window * model.config.hidden;
  std::vector<float> residuals(2 * count * floats);
  std::vector<HeldOutWindow> held_out;
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t window = streams.windows() - count + i;
    const auto ours = std::span(residuals).subspan(2 * i * floats, floats);
    const auto theirs = std::span(residuals).subspan((2 * i + 1) * floats, floats);
    STERNA_CHECK(streams.residual(0, window, theirs));
    STERNA_CHECK(streams.residual(1, window, ours));
    held_out.push_back(
        {std::span(windows.ids).subspan(window * windows.window, windows.window), theirs, ours});
  }
  const HeadWeights head{norm, rows};
  return measure_held_out(held_out, head, head, model.config.norm_eps, graph.kernels(), surroundings.pool);
}

}  // namespace

Result<CalibrationReport> calibrate(const Checkpoint& checkpoint, const HfModel& model,
                                    const CalibrationWindows& windows, const PlanesOf& planes,
                                    const CalibrationOptions& options, const WorkFolder& folder,
                                    const CalibrationSurroundings& surroundings) {
  STERNA_TRY(const EmbeddingRow embedding, embedding_rows(checkpoint, model));
  const BlockGraph graph(model.config, surroundings.kernels, windows.window);
  STERNA_TRY(Streams streams, Streams::create(graph, windows, windows.held_out(), options.memory,
                                              folder.path(), embedding, surroundings.pool));
  Calibration calibration(checkpoint, model, planes, options, graph, folder, streams, surroundings);
  const std::size_t finished = folder.finished_layers();
  for (std::size_t layer = 0; layer < model.config.layers; ++layer) {
    if (surroundings.cancelled()) return interrupted(folder);
    const bool resumed = layer < finished;
    FittedLayer fitted;
    if (resumed) {
      STERNA_TRY(fitted, folder.load(layer));
      STERNA_CHECK(calibration.repeat_layer(layer, fitted));
    } else {
      STERNA_TRY(fitted, calibration.fit_layer(layer));
      STERNA_CHECK(folder.save(layer, fitted));
    }
    if (surroundings.on_layer) surroundings.on_layer({layer, model.config.layers, &fitted, resumed});
  }
  CalibrationReport report;
  report.text = windows.text;
  if (windows.held_out() > 0) {
    STERNA_TRY(report.held_out, measure_streams(checkpoint, model, windows, graph, streams, surroundings));
  }
  return report;
}

}  // namespace sterna::convert
