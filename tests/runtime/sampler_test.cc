#include "runtime/sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>

namespace sterna::runtime {
namespace {

constexpr SamplingOptions kPlain{.temperature = 1.0F, .top_k = 0, .top_p = 1.0F, .min_p = 0.0F, .seed = 5};

std::vector<int> draw(const SamplingOptions& options, std::span<const float> logits, int n) {
  Sampler sampler(options);
  std::vector<int> counts(logits.size());
  for (int i = 0; i < n; ++i) ++counts[static_cast<std::size_t>(*sampler.sample(logits))];
  return counts;
}

std::set<int> support(const SamplingOptions& options, std::span<const float> logits) {
  const auto counts = draw(options, logits, 5000);
  std::set<int> ids;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] > 0) ids.insert(static_cast<int>(i));
  }
  return ids;
}

TEST(Sampler, GreedyTakesTheLowestIdAmongEquals) {
  const float logits[] = {1.0F, 3.0F, 3.0F, -2.0F};
  Sampler sampler({.temperature = 0.0F});
  EXPECT_EQ(*sampler.sample(logits), 1);
}

// Pearson's chi-square against softmax(logits / T): with 5 degrees of freedom, 25.7 is exceeded once in
// 10,000 by chance; the seed is fixed, so it is not left to chance.
TEST(Sampler, DrawsFromTheSoftmaxAtATemperature) {
  const std::vector<float> logits = {0.0F, 1.0F, 2.0F, 0.5F, -1.0F, 1.5F};
  for (const float temperature : {0.5F, 1.0F, 2.0F}) {
    SamplingOptions options = kPlain;
    options.temperature = temperature;
    constexpr int kDraws = 60000;
    const auto counts = draw(options, logits, kDraws);
    double sum = 0.0;
    for (const float l : logits) sum += std::exp(static_cast<double>(l / temperature));
    double chi_square = 0.0;
    for (std::size_t i = 0; i < logits.size(); ++i) {
      const double expected = kDraws * std::exp(static_cast<double>(logits[i] / temperature)) / sum;
      chi_square += (counts[i] - expected) * (counts[i] - expected) / expected;
    }
    EXPECT_LT(chi_square, 25.7) << "temperature " << temperature;
  }
}

TEST(Sampler, TruncationsKeepWhatTheirDefinitionsSay) {
  // Probabilities 0.5, 0.25, 0.15, 0.1.
  const float logits[] = {std::log(0.5F), std::log(0.1F), std::log(0.25F), std::log(0.15F)};
  SamplingOptions top_k = kPlain;
  top_k.top_k = 2;
  EXPECT_EQ(support(top_k, logits), (std::set<int>{0, 2}));
  SamplingOptions top_p = kPlain;
  top_p.top_p = 0.8F;  // 0.5 + 0.25 is not enough yet, so the third is in
  EXPECT_EQ(support(top_p, logits), (std::set<int>{0, 2, 3}));
  SamplingOptions min_p = kPlain;
  min_p.min_p = 0.4F;  // below 0.2
  EXPECT_EQ(support(min_p, logits), (std::set<int>{0, 2}));
}

TEST(Sampler, TheSameSeedGivesTheSameTokens) {
  const float logits[] = {0.1F, 0.2F, 0.3F, 0.4F};
  EXPECT_EQ(draw(kPlain, logits, 100), draw(kPlain, logits, 100));
  SamplingOptions other = kPlain;
  other.seed = 6;
  EXPECT_NE(draw(kPlain, logits, 100), draw(other, logits, 100));
}

TEST(Sampler, DamagedLogitsAreErrors) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float inf = std::numeric_limits<float>::infinity();
  for (const float temperature : {0.0F, 1.0F}) {
    Sampler sampler({.temperature = temperature});
    const float with_nan[] = {1.0F, nan};
    EXPECT_FALSE(sampler.sample(with_nan));
    const float all_minus_infinity[] = {-inf, -inf};
    EXPECT_FALSE(sampler.sample(all_minus_infinity));
    const float one_left[] = {-inf, 0.5F};
    EXPECT_EQ(*sampler.sample(one_left), 1);
  }
}

TEST(Sampler, OptionsOutOfRangeAreNamed) {
  EXPECT_TRUE(validate({}));
  EXPECT_THAT(validate({.top_p = 0.0F}).error().message, ::testing::HasSubstr("--top-p"));
  EXPECT_THAT(validate({.min_p = 1.5F}).error().message, ::testing::HasSubstr("--min-p"));
  EXPECT_THAT(validate({.temperature = std::numeric_limits<float>::quiet_NaN()}).error().message,
              ::testing::HasSubstr("--temp"));
}

}  // namespace
}  // namespace sterna::runtime
