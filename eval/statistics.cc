#include "eval/statistics.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <random>
#include <vector>

namespace sterna::eval {
namespace {

template <class Term>
double pairwise_sum(std::span<const double> values, const Term& term) {
  constexpr std::size_t kLeaf = 64;
  if (values.size() > kLeaf) {
    const std::size_t half = values.size() / 2;
    return pairwise_sum(values.first(half), term) + pairwise_sum(values.subspan(half), term);
  }
  double sum = 0;
  for (const double value : values) sum += term(value);
  return sum;
}

// P(X <= k) of n fair coins, by the terms' logarithms.
double fair_coins_at_most(std::size_t k, std::size_t n) {
  const auto log_factorial = [](std::size_t m) { return std::lgamma(static_cast<double>(m) + 1.0); };
  double sum = 0;
  for (std::size_t i = 0; i <= k; ++i) {
    sum += std::exp(log_factorial(n) - log_factorial(i) - log_factorial(n - i) -
                    static_cast<double>(n) * std::log(2.0));
  }
  return std::min(sum, 1.0);
}

// A number below n without the bias of %, and the same on every machine, unlike the distributions of
// <random>.
std::size_t below(std::mt19937_64& random, std::size_t n) {
  const std::uint64_t limit = std::mt19937_64::max() - std::mt19937_64::max() % n;
  std::uint64_t draw = random();
  while (draw >= limit) draw = random();
  return draw % n;
}

}  // namespace

Estimate mean_of(std::span<const double> values) {
  if (values.empty()) return {};
  const auto n = static_cast<double>(values.size());
  const double mean = pairwise_sum(values, [](double v) { return v; }) / n;
  if (values.size() < 2) return {mean, 0};
  const double squares = pairwise_sum(values, [mean](double v) { return (v - mean) * (v - mean); });
  return {mean, std::sqrt(squares / (n - 1) / n)};
}

Quantile quantile_of(std::span<const double> sorted, double share) {
  assert(!sorted.empty() && share >= 0 && share <= 1);
  const auto last = static_cast<double>(sorted.size() - 1);
  const auto at = [&](double rank) {
    const double bounded = std::clamp(rank, 0.0, last);
    const auto below_rank = static_cast<std::size_t>(bounded);
    const double rest = bounded - static_cast<double>(below_rank);
    const double value = sorted[below_rank];
    return rest == 0 ? value : value + rest * (sorted[below_rank + 1] - value);
  };
  const double spread = 1.96 * std::sqrt((last + 1) * share * (1 - share));
  const double rank = share * last;
  return {share, at(rank), at(std::floor(rank - spread)), at(std::ceil(rank + spread))};
}

PairedTest paired_test(std::span<const std::uint8_t> baseline_right,
                       std::span<const std::uint8_t> model_right) {
  assert(baseline_right.size() == model_right.size());
  const std::size_t n = model_right.size();
  PairedTest test;
  for (std::size_t i = 0; i < n; ++i) {
    test.only_baseline += static_cast<std::size_t>(baseline_right[i] != 0 && model_right[i] == 0);
    test.only_model += static_cast<std::size_t>(baseline_right[i] == 0 && model_right[i] != 0);
  }
  if (n == 0) return test;
  const std::size_t fewer = std::min(test.only_baseline, test.only_model);
  test.p_value = std::min(1.0, 2 * fair_coins_at_most(fewer, test.only_baseline + test.only_model));

  constexpr int kResamples = 1000;
  std::mt19937_64 random(1);
  std::vector<double> differences;
  differences.reserve(kResamples);
  for (int r = 0; r < kResamples; ++r) {
    std::ptrdiff_t sum = 0;
    for (std::size_t i = 0; i < n; ++i) {
      const std::size_t item = below(random, n);
      sum +=
          static_cast<std::ptrdiff_t>(model_right[item]) - static_cast<std::ptrdiff_t>(baseline_right[item]);
    }
    differences.push_back(static_cast<double>(sum) / static_cast<double>(n));
  }
  // The deviation of the resamples is the error of the mean.
  const Estimate spread = mean_of(differences);
  test.difference.value = (static_cast<double>(test.only_model) - static_cast<double>(test.only_baseline)) /
                          static_cast<double>(n);
  test.difference.error = spread.error * std::sqrt(static_cast<double>(kResamples));
  return test;
}

}  // namespace sterna::eval
