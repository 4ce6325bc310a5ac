#include "convert/calibrate/plan.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "convert/calibrate/measure_planes.h"
#include "convert/calibrate/plane_losses.h"
#include "convert/graph/load.h"

namespace sterna::convert {
namespace {

using nlohmann::json;
using runtime::TensorSpec;

constexpr std::size_t kLinears = std::size(kLinearRoles);

// All linears in the order of a plan, without losses.
Plan empty_plan(const runtime::ModelConfig& config) {
  Plan plan;
  plan.matrices.resize(config.layers * kLinears);
  for (const TensorSpec& spec : runtime::tensor_list(config)) {
    if (!spec.is_linear() || spec.is_vector()) continue;
    PlannedMatrix& m =
        plan.matrices[static_cast<std::size_t>(spec.layer) * kLinears + linear_index(spec.role)];
    m.name = spec.name;
    m.costs.weights = std::uint64_t{spec.rows} * spec.columns;
    m.costs.bytes = bytes_of_planes(spec.rows, spec.columns);
  }
  return plan;
}

std::vector<PlaneCosts> costs_of(const Plan& plan) {
  std::vector<PlaneCosts> costs;
  costs.reserve(plan.matrices.size());
  for (const PlannedMatrix& m : plan.matrices) costs.push_back(m.costs);
  return costs;
}

json to_json(const Plan& plan) {
  json matrices = json::array();
  for (const PlannedMatrix& m : plan.matrices)
    matrices.push_back({{"name", m.name}, {"planes", m.planes}, {"losses", m.costs.losses}});
  return {{"matrices", std::move(matrices)}};
}

// Fills in what to_json() kept; false if that belongs to another model or is not a plan.
bool fill(const json& saved, Plan& plan) {
  try {
    const json& matrices = saved.at("matrices");
    if (matrices.size() != plan.matrices.size()) return false;
    for (std::size_t i = 0; i < plan.matrices.size(); ++i) {
      PlannedMatrix& m = plan.matrices[i];
      const json& j = matrices.at(i);
      m.planes = j.at("planes").get<std::uint64_t>();
      if (j.at("name").get<std::string>() != m.name || m.planes == 0 || m.planes > kernels::kMaxPlanes)
        return false;
      for (std::size_t k = 0; k < kernels::kMaxPlanes; ++k)
        m.costs.losses[k] = j.at("losses").at(k).get<double>();
    }
  } catch (const json::exception&) {
    return false;
  }
  return true;
}

}  // namespace

std::size_t Plan::planes(const TensorSpec& linear) const {
  assert(linear.is_linear() && linear.layer >= 0);
  return matrices[static_cast<std::size_t>(linear.layer) * kLinears + linear_index(linear.role)].planes;
}

std::size_t Plan::count(std::size_t planes) const {
  return static_cast<std::size_t>(std::ranges::count(matrices, planes, &PlannedMatrix::planes));
}

double Plan::loss() const {
  double sum = 0.0;
  for (const PlannedMatrix& m : matrices) sum += m.loss();
  return sum;
}

double Plan::bits_per_weight() const {
  std::uint64_t bytes = 0;
  std::uint64_t weights = 0;
  for (const PlannedMatrix& m : matrices) {
    bytes += m.bytes();
    weights += m.costs.weights;
  }
  return 8.0 * static_cast<double>(bytes) / static_cast<double>(weights);
}

Status check_budget(const runtime::ModelConfig& config, double bits_per_weight) {
  STERNA_CHECK(choose_planes(costs_of(empty_plan(config)), bits_per_weight));
  return {};
}

Result<Plan> plan_planes(const Checkpoint& checkpoint, const HfModel& model,
                         const CalibrationWindows& windows, double bits_per_weight,
                         const CalibrationOptions& options, const WorkFolder& folder,
                         const CalibrationSurroundings& surroundings) {
  Plan plan = empty_plan(model.config);
  STERNA_TRY(const std::optional<json> saved, folder.load_plan());
  if (saved) {
    if (fill(*saved, plan)) return plan;
    return fail("{}: the plan of planes belongs to another model; leave out --resume", folder.path());
  }
  STERNA_TRY(const std::vector<LossOfPlanes> losses,
             measure_plane_losses(checkpoint, model, windows, options, folder.path(), surroundings));
  const std::vector<LossOfPlanes> expected = weighted_by_depth(smoothed(losses));
  for (std::size_t i = 0; i < expected.size(); ++i) plan.matrices[i].costs.losses = expected[i];
  STERNA_TRY(const std::vector<std::size_t> planes, choose_planes(costs_of(plan), bits_per_weight));
  for (std::size_t i = 0; i < planes.size(); ++i) plan.matrices[i].planes = planes[i];
  STERNA_CHECK(folder.save_plan(to_json(plan)));
  return plan;
}

}  // namespace sterna::convert
