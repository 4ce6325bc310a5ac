#include "convert/calibrate/row_fit.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>

#include "convert/ternarize.h"
#include "runtime/blas.h"

namespace sterna::convert {
namespace {

namespace blas = runtime::blas;
using kernels::kGroupColumns;

constexpr std::size_t kBlock = 64;  // columns between two products with the rest of a matrix

// Adding and subtracting 1.5 * 2^23 rounds |x| < 2^22 to a whole number, ties to even, in vector registers.
float round_even(float x) { return (x + 0x1.8p23F) - 0x1.8p23F; }

float clamped(float x, float limit) { return std::min(std::max(x, -limit), limit); }

// y [rows, n] = x [rows, k] m [k, n] + beta y
void multiply(const float* x, std::size_t rows, std::size_t k, const float* m, std::size_t n, float beta,
              float* y, float alpha = 1.0F) {
  blas::multiply(rows, n, k, alpha, {x, k}, {m, n}, beta, y, n);
}

// Steps tried by the search, as multiples of the rms of a group: a geometric grid around the best step of a
// normal distribution.
struct Grid {
  float low, high;
};
constexpr std::size_t kGridSteps = 20;
Grid grid_of(std::size_t planes) {
  return planes == 1 ? Grid{0.6F, 2.6F} : planes == 2 ? Grid{0.3F, 1.1F} : Grid{0.12F, 0.5F};
}

// A x = b for a small symmetric positive matrix in place; false if it is not positive.
bool solve(std::vector<double>& a, std::vector<double>& b) {
  const std::size_t n = b.size();
  for (std::size_t j = 0; j < n; ++j) {
    double d = a[j * n + j];
    for (std::size_t k = 0; k < j; ++k) d -= a[j * n + k] * a[j * n + k];
    if (!(d > 0.0)) return false;
    d = std::sqrt(d);
    a[j * n + j] = d;
    for (std::size_t i = j + 1; i < n; ++i) {
      double x = a[i * n + j];
      for (std::size_t k = 0; k < j; ++k) x -= a[i * n + k] * a[j * n + k];
      a[i * n + j] = x / d;
    }
    double x = b[j];
    for (std::size_t k = 0; k < j; ++k) x -= a[j * n + k] * b[k];
    b[j] = x / d;
  }
  for (std::size_t j = n; j-- > 0;) {
    for (std::size_t k = j + 1; k < n; ++k) b[j] -= a[k * n + j] * b[k];
    b[j] /= a[j * n + j];
  }
  return true;
}

}  // namespace

RowFit::RowFit(const FitTask& task, std::size_t first_row, const Moments& moments, const Factor& factor,
               const FitOptions& options)
    : task_(task),
      first_row_(first_row),
      rows_(std::min(kRows, task.rows - first_row)),
      n_(factor.columns),
      groups_((n_ + kGroupColumns - 1) / kGroupColumns),
      limit_(static_cast<float>(max_level(task.planes))),
      moments_(moments),
      factor_(factor),
      options_(options) {
  const auto rows = task.weight.subspan(first_row * n_, rows_ * n_);
  original_.assign(rows.begin(), rows.end());
}

float RowFit::scale(const Candidate& c, std::size_t row, std::size_t column) const {
  return c.scales[row * groups_ + column / kGroupColumns];
}

void RowFit::run() {
  target_ = original_;
  propagate_errors();
  target_h_.resize(target_.size());
  multiply(target_.data(), rows_, n_, factor_.damped.data(), n_, 0.0F, target_h_.data());

  search_scales(best_, target_);
  if (options_.feedback) {
    feed_errors_back(best_);
  } else {
    round_to_nearest(best_, target_);
  }
  for (std::size_t round = 0; round < options_.descent_rounds; ++round) {
    descend(best_);
    refit_scales(best_);
  }
  Candidate plain;
  search_scales(plain, original_);
  round_to_nearest(plain, original_);
  keep_better(plain);
}

void RowFit::propagate_errors() {
  const bool drift = task_.drifts && options_.beta != 0.0 && !moments_.drift().empty();
  if (options_.alpha == 0.0 && !drift) return;
  std::vector<float> wanted(rows_ * n_);
  if (drift) {
    const auto rows = moments_.drift().subspan(first_row_ * n_, rows_ * n_);
    std::ranges::transform(rows, wanted.begin(),
                           [&](float x) { return static_cast<float>(options_.beta) * x; });
  }
  multiply(original_.data(), rows_, n_, moments_.difference().data(), n_, 1.0F, wanted.data(),
           static_cast<float>(options_.alpha));
  multiply(wanted.data(), rows_, n_, factor_.inverse.data(), n_, 1.0F, target_.data());
}

void RowFit::search_scales(Candidate& c, const std::vector<float>& w) const {
  const Grid grid = grid_of(task_.planes);
  const float ratio = std::pow(grid.high / grid.low, 1.0F / static_cast<float>(kGridSteps - 1));
  c.scales.assign(rows_ * groups_, 0.0F);
  std::array<float, kGroupColumns> h{};
  for (std::size_t g = 0; g < groups_; ++g) {
    const std::size_t begin = g * kGroupColumns;
    const std::size_t count = std::min(kGroupColumns, n_ - begin);
    for (std::size_t i = 0; i < count; ++i) h[i] = factor_.damped[(begin + i) * n_ + begin + i];
    for (std::size_t r = 0; r < rows_; ++r) {
      const float* x = w.data() + r * n_ + begin;
      float squares = 0.0F, ww = 0.0F;
      for (std::size_t i = 0; i < count; ++i) {
        squares += x[i] * x[i];
        ww += h[i] * x[i] * x[i];
      }
      float step = std::sqrt(squares / static_cast<float>(count)) * grid.low;
      if (!(step > 0.0F)) continue;
      float least = INFINITY;
      for (std::size_t k = 0; k < kGridSteps; ++k, step *= ratio) {
        const float inverse = 1.0F / step;
        float wq = 0.0F, qq = 0.0F;
        for (std::size_t i = 0; i < count; ++i) {
          const float q = round_even(clamped(x[i] * inverse, limit_));
          wq += h[i] * x[i] * q;
          qq += h[i] * q * q;
        }
        if (!(qq > 0.0F)) continue;
        const float error = ww - wq * wq / qq;
        if (error < least) {
          least = error;
          c.scales[r * groups_ + g] = wq / qq;
        }
      }
    }
  }
}

void RowFit::round_to_nearest(Candidate& c, const std::vector<float>& w) const {
  c.levels.assign(rows_ * n_, 0.0F);
  for (std::size_t r = 0; r < rows_; ++r) {
    for (std::size_t j = 0; j < n_; ++j) {
      const float s = scale(c, r, j);
      if (s > 0.0F) c.levels[r * n_ + j] = round_even(clamped(w[r * n_ + j] / s, limit_));
    }
  }
}

void RowFit::feed_errors_back(Candidate& c) const {
  // Columns in the order of GPTQ, rows side by side: [n, rows].
  const std::vector<std::uint32_t>& order = factor_.order;
  std::vector<float> w(n_ * rows_);
  for (std::size_t j = 0; j < n_; ++j) {
    for (std::size_t r = 0; r < rows_; ++r) w[j * rows_ + r] = target_[r * n_ + order[j]];
  }
  std::vector<float> errors(kBlock * rows_);
  c.levels.assign(rows_ * n_, 0.0F);
  for (std::size_t begin = 0; begin < n_; begin += kBlock) {
    const std::size_t end = std::min(n_, begin + kBlock);
    for (std::size_t j = begin; j < end; ++j) {
      const float* u = factor_.upper.data() + j * n_;
      float* e = errors.data() + (j - begin) * rows_;
      const float* x = w.data() + j * rows_;
      for (std::size_t r = 0; r < rows_; ++r) {
        const float s = scale(c, r, order[j]);
        const float q = s > 0.0F ? round_even(clamped(x[r] / s, limit_)) : 0.0F;
        c.levels[r * n_ + order[j]] = q;
        e[r] = (x[r] - s * q) / u[j];
      }
      for (std::size_t k = j + 1; k < end; ++k) {
        float* y = w.data() + k * rows_;
        const float factor = u[k];
        for (std::size_t r = 0; r < rows_; ++r) y[r] -= factor * e[r];
      }
    }
    // w[end.., rows] -= U[begin..end, end..]^T errors
    if (end < n_) {
      blas::multiply(n_ - end, rows_, end - begin, -1.0F,
                     {factor_.upper.data() + begin * n_ + end, n_, blas::Form::transposed},
                     {errors.data(), rows_}, 1.0F, w.data() + end * rows_, rows_);
    }
  }
}

std::vector<float> RowFit::residual(const Candidate& c) const {
  std::vector<float> fitted(rows_ * n_);
  for (std::size_t r = 0; r < rows_; ++r) {
    for (std::size_t j = 0; j < n_; ++j) fitted[r * n_ + j] = scale(c, r, j) * c.levels[r * n_ + j];
  }
  std::vector<float> out = target_h_;
  multiply(fitted.data(), rows_, n_, factor_.damped.data(), n_, 1.0F, out.data(), -1.0F);
  return out;
}

void RowFit::descend(Candidate& c) const {
  // r = (w - s q) Hd with rows side by side: [n, rows]. Within a block it is kept up to date column by
  // column, elsewhere after each block.
  const std::vector<float> start = residual(c);
  std::vector<float> r(n_ * rows_);
  for (std::size_t j = 0; j < n_; ++j) {
    for (std::size_t i = 0; i < rows_; ++i) r[j * rows_ + i] = start[i * n_ + j];
  }
  std::vector<float> moved(kBlock * rows_);
  for (std::size_t begin = 0; begin < n_; begin += kBlock) {
    const std::size_t end = std::min(n_, begin + kBlock);
    for (std::size_t j = begin; j < end; ++j) {
      const float* h = factor_.damped.data() + j * n_;
      float* m = moved.data() + (j - begin) * rows_;
      for (std::size_t i = 0; i < rows_; ++i) {
        const float s = scale(c, i, j);
        float& q = c.levels[i * n_ + j];
        const float wanted = s > 0.0F ? round_even(clamped(q + r[j * rows_ + i] / (h[j] * s), limit_)) : q;
        m[i] = s * (wanted - q);
        q = wanted;
      }
      for (std::size_t k = j + 1; k < end; ++k) {  // nor are columns before this one
        float* y = r.data() + k * rows_;
        const float factor = h[k];
        for (std::size_t i = 0; i < rows_; ++i) y[i] -= factor * m[i];
      }
    }
    // r[end.., rows] -= Hd[begin..end, end..]^T moved; what lies before this block is not looked at again in
    // this round.
    if (end < n_) {
      blas::multiply(n_ - end, rows_, end - begin, -1.0F,
                     {factor_.damped.data() + begin * n_ + end, n_, blas::Form::transposed},
                     {moved.data(), rows_}, 1.0F, r.data() + end * rows_, rows_);
    }
  }
}

void RowFit::refit_scales(Candidate& c) const {
  // Per row: A s = b with A = Q Hd Q^T over the groups' parts of q, b = Q Hd w, and a ridge of 1e-4 of A's
  // mean diagonal that pulls to the old scales, for groups of zeros.
  std::vector<float> product(rows_ * n_);
  std::vector<double> a(rows_ * groups_ * groups_);
  for (std::size_t g = 0; g < groups_; ++g) {
    const std::size_t begin = g * kGroupColumns;
    const std::size_t count = std::min(kGroupColumns, n_ - begin);
    blas::multiply(rows_, n_, count, 1.0F, {c.levels.data() + begin, n_},
                   {factor_.damped.data() + begin * n_, n_}, 0.0F, product.data(), n_);
    for (std::size_t r = 0; r < rows_; ++r) {
      for (std::size_t k = 0; k < groups_; ++k) {
        float sum = 0.0F;
        for (std::size_t j = k * kGroupColumns; j < std::min(n_, (k + 1) * kGroupColumns); ++j)
          sum += product[r * n_ + j] * c.levels[r * n_ + j];
        a[(r * groups_ + g) * groups_ + k] = static_cast<double>(sum);
      }
    }
  }
  for (std::size_t r = 0; r < rows_; ++r) {
    std::vector<double> system(a.begin() + static_cast<std::ptrdiff_t>(r * groups_ * groups_),
                               a.begin() + static_cast<std::ptrdiff_t>((r + 1) * groups_ * groups_));
    std::vector<double> b(groups_);
    double ridge = 0.0;
    for (std::size_t g = 0; g < groups_; ++g) ridge += system[g * groups_ + g];
    ridge *= 1e-4 / static_cast<double>(groups_);
    for (std::size_t g = 0; g < groups_; ++g) {
      for (std::size_t j = g * kGroupColumns; j < std::min(n_, (g + 1) * kGroupColumns); ++j)
        b[g] += static_cast<double>(c.levels[r * n_ + j] * target_h_[r * n_ + j]);
      b[g] += ridge * static_cast<double>(c.scales[r * groups_ + g]);
      system[g * groups_ + g] += ridge;
    }
    if (!solve(system, b)) continue;
    for (std::size_t g = 0; g < groups_; ++g) {
      if (std::isfinite(b[g]) && b[g] > 0.0) c.scales[r * groups_ + g] = static_cast<float>(b[g]);
    }
  }
}

double RowFit::loss(const Candidate& c, const std::vector<float>& residual, std::size_t row) const {
  double sum = 0.0;
  for (std::size_t j = 0; j < n_; ++j) {
    const std::size_t at = row * n_ + j;
    const float error = target_[at] - scale(c, row, j) * c.levels[at];
    sum += static_cast<double>(error) * static_cast<double>(residual[at]);
  }
  return sum;
}

void RowFit::keep_better(const Candidate& plain) {
  const std::vector<float> ours = residual(best_);
  const std::vector<float> theirs = residual(plain);
  for (std::size_t r = 0; r < rows_; ++r) {
    if (loss(best_, ours, r) <= loss(plain, theirs, r)) continue;
    ++plain_rows_;
    std::copy_n(plain.levels.data() + r * n_, n_, best_.levels.data() + r * n_);
    std::copy_n(plain.scales.data() + r * groups_, groups_, best_.scales.data() + r * groups_);
  }
}

void RowFit::store(LevelMatrix& out, std::span<float> target) const {
  std::ranges::copy(target_, target.begin() + static_cast<std::ptrdiff_t>(first_row_ * n_));
  std::ranges::transform(best_.levels, out.levels.begin() + static_cast<std::ptrdiff_t>(first_row_ * n_),
                         [](float q) { return static_cast<std::int8_t>(q); });
  std::ranges::copy(best_.scales, out.scales.begin() + static_cast<std::ptrdiff_t>(first_row_ * groups_));
}

RowLoss row_loss(std::span<const float> weights, std::size_t first_row, const LevelMatrix& fitted,
                 const Moments& moments) {
  const std::size_t n = fitted.columns;
  const std::size_t rows = std::min(RowFit::kRows, fitted.rows - first_row);
  const float* w = weights.data() + first_row * n;
  std::vector<float> error(rows * n);
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t j = 0; j < n; ++j) {
      const float s = fitted.scales[(first_row + r) * fitted.groups() + j / kGroupColumns];
      error[r * n + j] = w[r * n + j] - s * static_cast<float>(fitted.levels[(first_row + r) * n + j]);
    }
  }
  std::vector<float> product(rows * n);
  const auto weighted = [&](const float* x) {
    multiply(x, rows, n, moments.second().data(), n, 0.0F, product.data());
    double sum = 0.0;
    for (std::size_t i = 0; i < rows * n; ++i)
      sum += static_cast<double>(x[i]) * static_cast<double>(product[i]);
    return sum;
  };
  return {weighted(error.data()), weighted(w)};
}

}  // namespace sterna::convert
