// What the calibration text says about the inputs of a family of linears: second moments over its tokens.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "runtime/thread_pool.h"

namespace sterna::convert {

// With Xq [tokens, n] the inputs that the quantised model sees, Xf those of the float model, and rq, rf
// [tokens, m] their residual streams before the linear's output is added:
//     H  = Xq^T Xq / tokens            [n, n]
//     D  = (Xf - Xq)^T Xq / tokens     [n, n]
//     Dr = (rf - rq)^T Xq / tokens     [m, n]
class Moments {
 public:
  // drift_rows: m, 0 where no residual stream follows.
  Moments(std::size_t columns, std::size_t drift_rows);

  // quantised [tokens, n] is Xq, difference [tokens, n] is Xf - Xq (empty: all 0), drift [tokens, m] is
  // rf - rq. Sums are added to in the order of the calls, whatever the number of threads.
  void add(std::span<const float> quantised, std::span<const float> difference, std::span<const float> drift,
           runtime::ThreadPool& pool);
  void finish();  // divides by the tokens and fills H's other half

  [[nodiscard]] std::size_t columns() const { return columns_; }
  [[nodiscard]] std::span<const float> second() const { return h_; }
  [[nodiscard]] std::span<const float> difference() const { return d_; }
  [[nodiscard]] std::span<const float> drift() const { return dr_; }  // empty if there is none
  [[nodiscard]] bool finite() const;

 private:
  std::size_t columns_;
  std::size_t drift_rows_;
  std::size_t tokens_ = 0;
  std::vector<float> h_, d_, dr_;
};

}  // namespace sterna::convert
