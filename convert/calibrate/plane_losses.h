// What the planes of each matrix are worth to the model: the loss that its errors with one, two and three
// planes are predicted to cost.
//
// An error E of a linear's weights moves output r by d = E_r x. To second order, with the cross terms of
// different outputs and tokens left out, the model's mean loss per token (next-token cross-entropy, nats)
// grows by
//     1/2 sum over r of F_r E_r H E_r^T,   F_r = mean over the tokens of (dl/dy_r)^2,
// l the loss of the window's tokens together, H the second moment of the inputs: F is a diagonal of the
// empirical Fisher information (as in LeCun et al., Optimal Brain Damage, 1990, and Kim et al., SqueezeLLM,
// 2024, arXiv 2306.07629, there per weight).
//
// E_r H E_r^T of a few pieces of 32 rows is that of a real fit; for the others, what GPTQ is expected to
// leave,
//     sum over the columns j in its order of D v_g(j) / U_jj^2,
// with v the mean square of the row's group of 128 columns, U of factor.h, and D the mean square error of
// a normal variable of variance 1 with so many planes, is scaled by the ratio of the two in the pieces.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "convert/calibrate/calibrate.h"
#include "convert/calibrate/factor.h"
#include "convert/calibrate/moments.h"

namespace sterna::convert {

using LossOfPlanes = std::array<double, kernels::kMaxPlanes>;  // index planes - 1

// weight [rows, columns] in the factor's basis, importance [rows] = F.
LossOfPlanes expected_loss(std::span<const float> weight, std::span<const float> importance,
                           const Factor& factor);

// One matrix of a family.
struct LossTask {
  std::span<const float> weight;      // [rows, columns]
  std::span<const float> importance;  // [rows] F
};
// The losses of all matrices of a family. The same bits at any number of threads.
std::vector<LossOfPlanes> losses_of_planes(std::span<const LossTask> tasks, const Moments& moments,
                                           const Factor& factor, const FitOptions& options,
                                           runtime::ThreadPool& pool);

// The losses of all linears, in the order of kLinearRoles within a layer, from the first windows of the
// text: forward through the float model with the residual stream kept, and back. Errors: those of
// load_block(), activations that are not finite, cancelled.
Result<std::vector<LossOfPlanes>> measure_plane_losses(const Checkpoint& checkpoint, const HfModel& model,
                                                       const CalibrationWindows& windows,
                                                       const CalibrationOptions& options,
                                                       const std::string& folder,
                                                       const CalibrationSurroundings& surroundings);

}  // namespace sterna::convert
