#include "convert/calibrate/plane_losses.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "convert/calibrate/row_fit.h"
#include "convert/graph/load.h"
#include "runtime/blas.h"

namespace sterna::convert {
namespace {

using kernels::kGroupColumns;

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

std::vector<LossOfPlanes> smoothed(std::span<const LossOfPlanes> losses) {
  const std::size_t n = losses.size();
  std::vector<LossOfPlanes> out(n);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t k = 0; k < kernels::kMaxPlanes; ++k) {
      const auto log = [&](std::size_t at) { return std::log(std::max(losses[at][k], 1e-300)); };
      double sum = 2.0 * log(i);
      double weight = 2.0;
      if (i >= std::size(kLinearRoles)) {
        sum += log(i - std::size(kLinearRoles));
        weight += 1.0;
      }
      if (i + std::size(kLinearRoles) < n) {
        sum += log(i + std::size(kLinearRoles));
        weight += 1.0;
      }
      out[i][k] = std::exp(sum / weight);
    }
  }
  return out;
}

std::vector<LossOfPlanes> weighted_by_depth(std::span<const LossOfPlanes> losses) {
  std::vector<LossOfPlanes> out(losses.begin(), losses.end());
  const std::size_t layers = losses.size() / std::size(kLinearRoles);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const std::size_t layer = i / std::size(kLinearRoles);
    const auto last = static_cast<double>(std::max<std::size_t>(layers, 2) - 1);
    for (double& loss : out[i]) loss *= 1.0 + kLateWeight * static_cast<double>(layer) / last;
  }
  return out;
}

}  // namespace sterna::convert
