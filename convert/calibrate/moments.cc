#include "convert/calibrate/moments.h"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "runtime/blas.h"

namespace sterna::convert {
namespace {

namespace blas = runtime::blas;

// Rows of a result that one task adds to: small enough to share 576 of them between several threads, large
// enough for BLAS (64: 96 % of the rate of a whole matrix of 1536 columns).
constexpr std::size_t kPanel = 64;

}  // namespace

Moments::Moments(std::size_t columns, std::size_t drift_rows)
    : columns_(columns),
      drift_rows_(drift_rows),
      h_(columns * columns),
      d_(columns * columns),
      dr_(drift_rows * columns) {}

void Moments::add(std::span<const float> quantised, std::span<const float> difference,
                  std::span<const float> drift, runtime::ThreadPool& pool) {
  const std::size_t tokens = quantised.size() / columns_;
  assert((difference.empty() || difference.size() == quantised.size()) &&
         drift.size() == tokens * drift_rows_);
  tokens_ += tokens;
  const std::size_t panels = (columns_ + kPanel - 1) / kPanel;
  const std::size_t both = difference.empty() ? panels : 2 * panels;  // of H and of D
  const std::size_t drift_panels = (drift_rows_ + kPanel - 1) / kPanel;
  const blas::Operand x{quantised.data(), columns_};
  const auto transposed = [](std::span<const float> rows, std::size_t stride, std::size_t first) {
    return blas::Operand{rows.data() + first, stride, blas::Form::transposed};
  };
  pool.run(both + drift_panels, 1, [&](std::size_t begin, std::size_t end, std::size_t) {
    for (std::size_t task = begin; task < end; ++task) {
      const std::size_t first = (task < panels ? task : task < both ? task - panels : task - both) * kPanel;
      if (task < panels) {  // the upper half only
        blas::multiply(std::min(kPanel, columns_ - first), columns_ - first, tokens, 1.0F,
                       transposed(quantised, columns_, first), {x.data + first, columns_}, 1.0F,
                       h_.data() + first * columns_ + first, columns_);
      } else if (task < both) {
        blas::multiply(std::min(kPanel, columns_ - first), columns_, tokens, 1.0F,
                       transposed(difference, columns_, first), x, 1.0F, d_.data() + first * columns_,
                       columns_);
      } else {
        blas::multiply(std::min(kPanel, drift_rows_ - first), columns_, tokens, 1.0F,
                       transposed(drift, drift_rows_, first), x, 1.0F, dr_.data() + first * columns_,
                       columns_);
      }
    }
  });
}

void Moments::finish() {
  const float share = 1.0F / static_cast<float>(std::max<std::size_t>(1, tokens_));
  for (std::vector<float>* sums : {&h_, &d_, &dr_}) {
    for (float& x : *sums) x *= share;
  }
  for (std::size_t r = 0; r < columns_; ++r) {
    for (std::size_t c = 0; c < r; ++c) h_[r * columns_ + c] = h_[c * columns_ + r];
  }
}

bool Moments::finite() const {
  const auto all = [](std::span<const float> values) {
    return std::ranges::all_of(values, [](float x) { return std::isfinite(x); });
  };
  return all(h_) && all(d_) && all(dr_);
}

}  // namespace sterna::convert
