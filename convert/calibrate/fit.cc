#include "convert/calibrate/fit.h"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "convert/calibrate/row_fit.h"

namespace sterna::convert {

std::vector<Fitted> fit(std::span<const FitTask> tasks, const Moments& moments, const Factor& factor,
                        const FitOptions& options, runtime::ThreadPool& pool) {
  struct Piece {
    std::size_t task;
    std::size_t row;
    double loss = 0.0;
    double signal = 0.0;
    std::size_t plain_rows = 0;
  };
  const std::size_t n = factor.columns;
  std::vector<Fitted> fitted;
  std::vector<std::vector<float>> targets;  // weights after step 1
  std::vector<Piece> pieces;
  fitted.reserve(tasks.size());
  for (const FitTask& task : tasks) {
    assert(task.weight.size() == task.rows * n);
    for (std::size_t row = 0; row < task.rows; row += RowFit::kRows) pieces.push_back({fitted.size(), row});
    targets.emplace_back(task.weight.size());
    fitted.push_back({LevelMatrix::zeros(task.rows, n, task.planes)});
  }
  pool.run(pieces.size(), 1, [&](std::size_t begin, std::size_t end, std::size_t) {
    for (std::size_t i = begin; i < end; ++i) {
      Piece& piece = pieces[i];
      const FitTask& task = tasks[piece.task];
      RowFit rows(task, piece.row, moments, factor, options);
      rows.run();
      rows.store(fitted[piece.task].matrix, targets[piece.task]);
      piece.plain_rows = rows.plain_rows();
    }
  });
  for (const Piece& piece : pieces) fitted[piece.task].plain_rows += piece.plain_rows;
  for (Fitted& f : fitted) f.matrix.round_scales();
  // With the rounded scales: what the file will compute.
  pool.run(pieces.size(), 1, [&](std::size_t begin, std::size_t end, std::size_t) {
    for (std::size_t i = begin; i < end; ++i) {
      Piece& piece = pieces[i];
      const RowLoss loss = row_loss(targets[piece.task], piece.row, fitted[piece.task].matrix, moments);
      piece.loss = loss.error;
      piece.signal = loss.signal;
    }
  });
  for (const Piece& piece : pieces) {
    fitted[piece.task].loss += piece.loss;
    fitted[piece.task].signal += piece.signal;
  }
  return fitted;
}

}  // namespace sterna::convert
