// How many planes each linear of a model gets within a budget of bits.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "convert/calibrate/calibrate.h"
#include "convert/calibrate/choose_planes.h"
#include "convert/calibrate/work_folder.h"
#include "convert/checkpoint.h"
#include "convert/hf_config.h"
#include "runtime/result.h"
#include "runtime/tensor_list.h"

namespace sterna::convert {

struct PlannedMatrix {
  std::string name;  // of the tensor in the file
  PlaneCosts costs;  // losses: predicted, smoothed, weighted by depth (plane_losses.h)
  std::size_t planes = 1;

  [[nodiscard]] double loss() const { return costs.losses[planes - 1]; }
  [[nodiscard]] std::uint64_t bytes() const { return costs.bytes[planes - 1]; }
};

struct Plan {
  std::vector<PlannedMatrix> matrices;  // layer by layer, in the order of kLinearRoles

  [[nodiscard]] std::size_t planes(const runtime::TensorSpec& linear) const;
  [[nodiscard]] std::size_t count(std::size_t planes) const;  // of matrices
  [[nodiscard]] double loss() const;                          // of all
  [[nodiscard]] double bits_per_weight() const;               // never above the budget
};

// Whether planes can be chosen within the budget; the errors of choose_planes().
Status check_budget(const runtime::ModelConfig& config, double bits_per_weight);

// Chosen by predicted losses on the first windows of the text, or as the folder has it from an earlier run
// with the same settings; the folder has it afterwards. The same at any number of threads. Errors: those of
// choose_planes() and measure_plane_losses(), a damaged plan.
Result<Plan> plan_planes(const Checkpoint& checkpoint, const HfModel& model,
                         const CalibrationWindows& windows, double bits_per_weight,
                         const CalibrationOptions& options, const WorkFolder& folder,
                         const CalibrationSurroundings& surroundings);

}  // namespace sterna::convert
