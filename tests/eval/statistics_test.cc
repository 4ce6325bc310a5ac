#include "eval/statistics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <vector>

namespace sterna::eval {
namespace {

TEST(Statistics, MeanAndItsErrorOfKnownNumbers) {
  // Deviations 3, 1, 1, 3 from 5: variance 20 / 3, error sqrt(20 / 3 / 4).
  const Estimate e = mean_of(std::vector<double>{2, 4, 6, 8});
  EXPECT_DOUBLE_EQ(e.value, 5);
  EXPECT_DOUBLE_EQ(e.error, std::sqrt(20.0 / 3 / 4));
  EXPECT_EQ(mean_of(std::vector<double>{3}).error, 0);
  EXPECT_EQ(mean_of({}).value, 0);
}

// One after the other, a million additions of 0.1 to a sum near 1e5 would be off by some 1e-6.
TEST(Statistics, LongSumsStayExact) {
  const std::vector<double> values(1'000'000, 0.1);
  EXPECT_NEAR(mean_of(values).value, 0.1, 1e-15);
}

TEST(Statistics, QuantilesAreThoseOfNumPy) {
  const std::vector<double> sorted = {1, 2, 4, 8, 16};
  EXPECT_DOUBLE_EQ(quantile_of(sorted, 0.5).value, 4);  // numpy.quantile(sorted, 0.5)
  EXPECT_DOUBLE_EQ(quantile_of(sorted, 0.9).value, 12.8);
  EXPECT_DOUBLE_EQ(quantile_of(sorted, 0.0).value, 1);
  EXPECT_DOUBLE_EQ(quantile_of(sorted, 1.0).value, 16);
  EXPECT_DOUBLE_EQ(quantile_of(std::vector<double>{7}, 0.99).value, 7);
}

TEST(Statistics, TheIntervalOfAMedianIsThatOfItsRanks) {
  std::vector<double> sorted(101);
  std::iota(sorted.begin(), sorted.end(), 0.0);
  // Rank 50, 1.96 sqrt(101 / 4) = 9.85 ranks around it, rounded outwards.
  const Quantile median = quantile_of(sorted, 0.5);
  EXPECT_EQ(median.value, 50);
  EXPECT_EQ(median.low, 40);
  EXPECT_EQ(median.high, 60);
}

TEST(Statistics, McNemarCountsOnlyItemsThatDiffer) {
  // 1 item only the model got right, 5 only the baseline: P(X <= 1 of 6 coins) * 2 = 7/64 * 2.
  std::vector<std::uint8_t> baseline(40, 1);
  std::vector<std::uint8_t> model(40, 1);
  for (int i = 0; i < 5; ++i) model[i] = 0;
  baseline[39] = 0;
  const PairedTest test = paired_test(baseline, model);
  EXPECT_EQ(test.only_baseline, 5U);
  EXPECT_EQ(test.only_model, 1U);
  EXPECT_NEAR(test.p_value, 14.0 / 64, 1e-12);
  EXPECT_DOUBLE_EQ(test.difference.value, -4.0 / 40);
  // The bootstrap's error estimates the mean's, sqrt(variance / n). A deviation from 1,000 resamples is
  // itself off by 1 / sqrt(2000) = 2.2 %; five of these.
  const double variance = 6.0 / 40 - 0.1 * 0.1;
  EXPECT_NEAR(test.difference.error / std::sqrt(variance / 40), 1, 0.11);
}

TEST(Statistics, EqualAnswersAreNoDifference) {
  const std::vector<std::uint8_t> right = {1, 0, 1, 1};
  const PairedTest test = paired_test(right, right);
  EXPECT_EQ(test.p_value, 1);
  EXPECT_EQ(test.difference.value, 0);
  EXPECT_EQ(test.difference.error, 0);
  EXPECT_EQ(paired_test({}, {}).p_value, 1);
}

}  // namespace
}  // namespace sterna::eval
