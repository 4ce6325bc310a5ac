// Fits trit planes to a matrix so that its outputs, not its weights, change least.
//
// For a row w and its integers q with steps s the loss is e Hd e^T, e = w - s q, Hd the damped second moment
// of the inputs. The steps:
//   1. w <- w + (alpha w D + beta Dr) Hd^-1: the least-squares answer to inputs that the quantised layers in
//      front have moved, and to what the residual stream lacks already (QEP, Arai and Ichikawa 2025,
//      arXiv 2504.09629, section 4; the second term is ours).
//   2. Steps by a search over a grid, weighted by diag Hd.
//   3. GPTQ (Frantar et al. 2022, arXiv 2210.17323, algorithm 1) in the order of falling diag H, with steps
//      that belong to stored groups of 128 columns.
//   4. Rounds of coordinate descent over the integers (as QuantEase, Behdin et al. 2023, arXiv 2309.01885,
//   and
//      CDQuant do it), each followed by the best steps for these integers: a linear system per row.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "convert/calibrate/factor.h"
#include "convert/calibrate/moments.h"
#include "convert/graph/levels.h"
#include "runtime/thread_pool.h"

namespace sterna::convert {

struct FitOptions {
  double alpha = 0.5;     // share of the error of the inputs that is made good
  double beta = 0.5;      // share of the drift of the residual stream
  bool act_order = true;  // GPTQ in the order of falling diag H
  bool feedback = true;   // GPTQ at all; else integers are rounded
  std::size_t descent_rounds = 2;
};

// One matrix [rows, columns] of a family, in the rotated basis.
struct FitTask {
  std::span<const float> weight;
  std::size_t rows = 0;
  std::size_t planes = 1;
  bool drifts = false;  // its output is added to the residual stream (o, down)
};

struct Fitted {
  LevelMatrix matrix;          // with the scales that the file will hold
  double loss = 0.0;           // sum over rows of e H e^T, e = w - s q with w after step 1 and the undamped H
  double signal = 0.0;         // sum over rows of w H w^T
  std::size_t plain_rows = 0;  // rows where plain rounding was better and was taken
};

// All matrices of a family. The same bits at any number of threads.
std::vector<Fitted> fit(std::span<const FitTask> tasks, const Moments& moments, const Factor& factor,
                        const FitOptions& options, runtime::ThreadPool& pool);

}  // namespace sterna::convert
