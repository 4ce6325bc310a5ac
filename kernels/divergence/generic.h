#pragma once

#include "kernels/divergence/divergence.h"
#include "kernels/lanes/lanes.h"
#include "kernels/lanes/math.h"

namespace sterna::kernels {

// The sum over i of term(load), where load(p, rest) is the lanes at p + i and
// `rest` past the end, which must make the terms there +0. Blocks of kSumBlock are added up in double.
template <Isa isa, class Term>
[[gnu::always_inline]] inline double sum_in_blocks(std::size_t n, Term&& term) {
  using F = F32x16<isa>;
  double total = 0;
  for (std::size_t begin = 0; begin < n; begin += kSumBlock) {
    const std::size_t end = begin + kSumBlock < n ? begin + kSumBlock : n;
    F sum = F::zero();
    std::size_t i = begin;
    for (; i + kLanes <= end; i += kLanes) {
      sum = sum + term([i](const float* x, float) { return F::load(x + i); });
    }
    if (i < end) {
      const std::size_t count = end - i;
      sum = sum + term([i, count](const float* x, float rest) {
              alignas(64) float padded[kLanes];
              for (std::size_t k = 0; k < kLanes; ++k) padded[k] = k < count ? x[i + k] : rest;
              return F::load(padded);
            });
    }
    total += static_cast<double>(sum.sum());
  }
  return total;
}

template <Isa isa>
SoftmaxTotal softmax_total(const float* x, std::size_t n) {
  using F = F32x16<isa>;
  F largest = F::broadcast(x[0]);
  std::size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) largest = F::max(F::load(x + i), largest);
  float maximum = largest.maximum();
  for (; i < n; ++i) maximum = x[i] > maximum ? x[i] : maximum;
  const F top = F::broadcast(maximum);
  const double total = sum_in_blocks<isa>(
      n, [&](auto load)
             __attribute__((always_inline)) { return exp<isa>(load(x, -__builtin_inff()) - top); });
  return {maximum, total};
}

template <Isa isa>
double divergence_sum(const float* p, float p_max, const float* q, float q_max, std::size_t n) {
  using F = F32x16<isa>;
  const F p_top = F::broadcast(p_max);
  const F q_top = F::broadcast(q_max);
  return sum_in_blocks<isa>(
      n, [&](auto load) __attribute__((always_inline)) {
        // Past the end both differences are 0, and so is the product.
        const F p_below = load(p, p_max) - p_top;
        const F q_below = load(q, q_max) - q_top;
        return exp<isa>(p_below) * (p_below - q_below);
      });
}

}  // namespace sterna::kernels
