// What a perplexity and a Kullback-Leibler divergence need of a row of logits, in two passes over it.
//
//     softmax_total:   maximum = max x[i],  total = sum exp(x[i] - maximum)
//                      so that log-sum-exp = maximum + ln(total)
//     divergence_sum:  sum exp(p[i] - p_max) * ((p[i] - p_max) - (q[i] - q_max))
//                      so that KL(softmax(p) || softmax(q)) = sum / p_total - ln(p_total) + ln(q_total)
//
// exp is the polynomial of lanes/math.h. Lanes are summed over kSumBlock elements and added up in double: a
// vocabulary of 128k has a total as exact as one of 1k, 64 additions in float at most. Rows of the same bits
// have a divergence of exactly 0. A NaN in x makes the total NaN, whether or not it is the maximum.
#pragma once

#include <cstddef>

#include "kernels/isa.h"

namespace sterna::kernels {

struct SoftmaxTotal {
  float maximum = 0;
  double total = 0;  // 1..n
};

inline constexpr std::size_t kSumBlock = 1024;

// n >= 1 floats, no alignment needed.
template <Isa isa>
SoftmaxTotal softmax_total(const float* x, std::size_t n);

template <Isa isa>
double divergence_sum(const float* p, float p_max, const float* q, float q_max, std::size_t n);

}  // namespace sterna::kernels
