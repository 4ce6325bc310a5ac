// The fit of a few rows of a matrix (fit.h): rows do not depend on each other, and one thread fits a piece of
// them with products that are large enough for BLAS.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "convert/calibrate/fit.h"

namespace sterna::convert {

class RowFit {
 public:
  static constexpr std::size_t kRows = 32;

  RowFit(const FitTask& task, std::size_t first_row, const Moments& moments, const Factor& factor,
         const FitOptions& options);
  void run();
  void store(LevelMatrix& out, std::span<float> target) const;
  [[nodiscard]] std::size_t plain_rows() const { return plain_rows_; }

 private:
  struct Candidate {
    std::vector<float> levels;  // [rows, n], whole numbers
    std::vector<float> scales;  // [rows, groups]
  };

  void propagate_errors();                                              // step 1
  void search_scales(Candidate& c, const std::vector<float>& w) const;  // step 2
  void round_to_nearest(Candidate& c, const std::vector<float>& w) const;
  void feed_errors_back(Candidate& c) const;                            // step 3, GPTQ
  void descend(Candidate& c) const;                                     // step 4: one round over the integers
  void refit_scales(Candidate& c) const;                                // step 4: the steps
  void keep_better(const Candidate& plain);                             // per row
  [[nodiscard]] std::vector<float> residual(const Candidate& c) const;  // (w - s q) Hd
  [[nodiscard]] double loss(const Candidate& c, const std::vector<float>& residual, std::size_t row) const;
  [[nodiscard]] float scale(const Candidate& c, std::size_t row, std::size_t column) const;

  const FitTask& task_;
  std::size_t first_row_;
  std::size_t rows_;
  std::size_t n_;
  std::size_t groups_;
  float limit_;  // the largest integer
  const Moments& moments_;
  const Factor& factor_;
  const FitOptions& options_;
  std::vector<float> original_;  // [rows, n]
  std::vector<float> target_;    // after step 1
  std::vector<float> target_h_;  // target Hd
  Candidate best_;
  std::size_t plain_rows_ = 0;
};

struct RowLoss {
  double error = 0.0;
  double signal = 0.0;
};

// Of up to RowFit::kRows rows: sums of e H e^T and w H w^T, e = w - s q, w [rows, columns], H undamped.
RowLoss row_loss(std::span<const float> w, std::size_t first_row, const LevelMatrix& fitted,
                 const Moments& moments);

}  // namespace sterna::convert
