#include "convert/ternarize.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "kernels/ternary_matmul/pack.h"

namespace sterna::convert {
namespace {

using runtime::ThreadPool;
using ::testing::HasSubstr;

using Group = std::vector<float>;

double squares(const Group& group) {
  double sum = 0.0;
  for (const float w : group) sum += static_cast<double>(w) * w;
  return sum;
}

// The error of the nearest levels for a step.
double error_at(const Group& group, double step, int max_level) {
  double sum = 0.0;
  for (const float w : group) {
    const double a = std::abs(static_cast<double>(w));
    const double k = step > 0.0 ? std::min(std::nearbyint(a / step), static_cast<double>(max_level)) : 0.0;
    sum += (a - step * k) * (a - step * k);
  }
  return sum;
}

// By the definition: all (max_level + 1)^n level vectors, each with its least-squares step.
double least_error_of_all_levels(const Group& group, int max_level) {
  std::vector<int> k(group.size(), 0);
  double best = 0.0;
  while (true) {
    double s1 = 0.0;
    double s2 = 0.0;
    for (std::size_t i = 0; i < group.size(); ++i) {
      s1 += k[i] * std::abs(static_cast<double>(group[i]));
      s2 += k[i] * k[i];
    }
    if (s2 > 0.0) best = std::max(best, s1 * s1 / s2);
    std::size_t i = 0;
    while (i < k.size() && k[i] == max_level) k[i++] = 0;
    if (i == k.size()) return squares(group) - best;
    ++k[i];
  }
}

// For whole groups: between two neighbouring breakpoints the nearest levels do not change, so one step inside
// each interval, refitted, covers every candidate.
double least_error_of_all_intervals(const Group& group, int max_level) {
  std::vector<double> breakpoints;
  for (const float w : group) {
    for (int j = 0; j < max_level && w != 0.0F; ++j)
      breakpoints.push_back(std::abs(static_cast<double>(w)) / (j + 0.5));
  }
  std::sort(breakpoints.begin(), breakpoints.end());
  double best = 0.0;
  for (std::size_t b = 0; b < breakpoints.size(); ++b) {
    const double step = b == 0 ? 0.5 * breakpoints[0] : 0.5 * (breakpoints[b - 1] + breakpoints[b]);
    double s1 = 0.0;
    double s2 = 0.0;
    for (const float w : group) {
      const double a = std::abs(static_cast<double>(w));
      const double k = std::min(std::nearbyint(a / step), static_cast<double>(max_level));
      s1 += k * a;
      s2 += k * k;
    }
    if (s2 > 0.0) best = std::max(best, s1 * s1 / s2);
  }
  return squares(group) - best;
}

// How far best_step() may be from the optimum. Its result is a float: a relative error of 2^-24 of the step
// adds S2 (2^-24 d)^2 <= 2^-48 sum w^2. It orders breakpoints as floats: among those that are closer than
// 2^-23 d it may take a wrong order and so miss a level vector by one level of one weight, which costs at
// most d^2 |2x - 2j - 1| <= d^2 2 (max_level + 1/2) 2^-23 at the breakpoint x = w / d = j + 1/2.
double tolerance(const Group& group, double step, int max_level) {
  return squares(group) * 0x1p-40 + step * step * (2 * max_level + 1) * 0x1p-23;
}

constexpr std::size_t kPlanes[] = {1, 2, 3};

TEST(BestStep, IsTheOptimumOverAllLevels) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  for (const std::size_t planes : kPlanes) {
    const int level = max_level(planes);
    const std::size_t size = planes == 3 ? 4 : 6;
    for (int round = 0; round < 60; ++round) {
      Group group(1 + random() % size);
      for (float& w : group) w = normal(random);
      const double step = best_step(group, level);
      EXPECT_LE(error_at(group, step, level),
                least_error_of_all_levels(group, level) + tolerance(group, step, level));
    }
  }
}

Group random_group(std::mt19937& random, int kind, std::size_t size) {
  std::normal_distribution<float> normal;
  std::student_t_distribution<float> heavy(2.0F);
  Group group(size);
  for (float& w : group) {
    switch (kind) {
      case 0:
        w = 0.02F * normal(random);
        break;
      case 1:
        w = heavy(random);
        break;
      case 2:
        w = static_cast<float>(static_cast<int>(random() % 9) - 4);
        break;  // many ties
      case 3:
        w = random() % 4 == 0 ? normal(random) : 0.0F;
        break;  // sparse
      default:
        w = std::exp(6.0F * normal(random));
        break;  // all magnitudes
    }
  }
  if (kind == 0 && size > 2) group[1] = 5.0F;  // an outlier of 250 deviations
  return group;
}

TEST(BestStep, IsTheOptimumOfWholeGroups) {
  std::mt19937 random(2);
  for (const std::size_t planes : kPlanes) {
    const int level = max_level(planes);
    for (int round = 0; round < 40; ++round) {
      const Group group = random_group(random, round % 5, round % 3 == 0 ? 1 + random() % 128 : 128);
      const double step = best_step(group, level);
      EXPECT_LE(error_at(group, step, level),
                least_error_of_all_intervals(group, level) + tolerance(group, step, level))
          << "planes " << planes << ", round " << round;
    }
  }
}

TEST(BestStep, NoStepOfAFineGridIsBetter) {
  std::mt19937 random(4);
  for (const std::size_t planes : kPlanes) {
    const int level = max_level(planes);
    for (int kind = 0; kind < 5; ++kind) {
      const Group group = random_group(random, kind, 100);
      const double step = best_step(group, level);
      const double error = error_at(group, step, level);
      float largest = 0.0F;
      for (const float w : group) largest = std::max(largest, std::abs(w));
      for (int i = 1; i <= 20000; ++i) {
        const double d = 2.0 * static_cast<double>(largest) * i / 20000;
        ASSERT_LE(error, error_at(group, d, level) + tolerance(group, step, level)) << d;
      }
    }
  }
}

TEST(BestStep, FindsTheStepOfExactMultiples) {
  for (const std::size_t planes : kPlanes) {
    const int level = max_level(planes);
    Group group;
    for (int k = -level; k <= level; ++k) group.push_back(0.3125F * static_cast<float>(k));
    EXPECT_EQ(best_step(group, level), 0.3125F);
  }
}

TEST(BestStep, ZerosAndSingleWeights) {
  EXPECT_EQ(best_step(Group(128, 0.0F), 13), 0.0F);
  EXPECT_EQ(best_step(Group{-0.0F}, 1), 0.0F);
  EXPECT_EQ(best_step(Group{-3.0F}, 1), 3.0F);
}

// A power of two does not change the problem, even where squares overflow or weights are subnormal.
TEST(BestStep, ScalesWithItsWeights) {
  std::mt19937 random(5);
  Group group(128);
  for (float& w : group) w = static_cast<float>(static_cast<int>(random() % 2001) - 1000);
  const float step = best_step(group, 13);
  for (const int exponent : {-140, -120, 40, 117}) {
    Group scaled;
    for (const float w : group) scaled.push_back(std::ldexp(w, exponent));
    const float expected = std::ldexp(step, exponent);
    // Below 2^-126 the step has fewer bits.
    EXPECT_NEAR(best_step(scaled, 13), expected,
                exponent < -126 ? std::numeric_limits<float>::denorm_min() : 0.0F)
        << exponent;
  }
}

TEST(NearestLevels, TiesToEvenAndClamped) {
  const Group group = {0.5F, 1.5F, 2.5F, -0.5F, -1.5F, 100.0F, -100.0F, 0.0F};
  std::vector<std::int8_t> k(group.size());
  nearest_levels(group, 1.0F, 4, k);
  EXPECT_THAT(k, ::testing::ElementsAre(0, 2, 2, 0, -2, 4, -4, 0));
  nearest_levels(group, 0.0F, 4, k);
  EXPECT_THAT(k, ::testing::Each(0));
}

Result<Ternarized> run(std::size_t rows, std::size_t columns, const std::vector<float>& data,
                       std::size_t planes, std::size_t threads = 2) {
  ThreadPool pool(threads);
  return ternarize(matrix_source("w", rows, columns, data), planes, pool);
}

std::vector<float> normal_matrix(std::size_t rows, std::size_t columns, float deviation = 0.02F) {
  std::mt19937 random(6);
  std::normal_distribution<float> normal(0.0F, deviation);
  std::vector<float> data(rows * columns);
  for (float& w : data) w = normal(random);
  return data;
}

// SmolLM2's 576 = 4 * 128 + 64, the 37 of a tiny test model, one short tile, and several blocks of rows.
constexpr std::pair<std::size_t, std::size_t> kShapes[] = {{33, 576}, {5, 37}, {1, 1}, {16, 128}, {17, 129}};

TEST(Ternarize, EveryWeightHasItsNearestLevelOfTheStoredStep) {
  for (const std::size_t planes : kPlanes) {
    for (const auto& [rows, columns] : kShapes) {
      const std::vector<float> data = normal_matrix(rows, columns);
      const auto result = run(rows, columns, data, planes);
      ASSERT_TRUE(result) << result.error().message;
      const kernels::TernaryView view = result->matrix.view();
      EXPECT_EQ(view.group, 128U);
      EXPECT_EQ(view.planes, planes);
      EXPECT_EQ(view.scale_type, kernels::ScaleType::f16);
      EXPECT_FALSE(kernels::has_invalid_code(view));
      const auto limit = static_cast<float>(max_level(planes));
      for (std::size_t i = 0; i < data.size(); ++i) {
        const float step = kernels::scale_at(view, i / columns, i % columns);
        const float k = std::clamp(std::nearbyint(data[i] / step), -limit, limit);
        ASSERT_EQ(kernels::unpack(view, i / columns, i % columns), static_cast<int>(k));
      }
    }
  }
}

// The recipe of BitNet's training, t = round(w / mean |w|), for each group: the fitted step is never worse.
// Rounding the step to f16 (relative 2^-11) adds at most S2 (2^-11 d)^2 <= 2^-22 sum w^2 to the least error.
TEST(Ternarize, IsNeverWorseThanAbsmean) {
  constexpr std::size_t kRows = 20;
  constexpr std::size_t kColumns = 300;
  const std::vector<float> data = normal_matrix(kRows, kColumns);
  const auto result = run(kRows, kColumns, data, 1);
  ASSERT_TRUE(result);
  for (std::size_t r = 0; r < kRows; ++r) {
    for (std::size_t g = 0; g < 3; ++g) {
      const auto begin = data.begin() + static_cast<std::ptrdiff_t>(r * kColumns + g * 128);
      const Group group(begin,
                        begin + static_cast<std::ptrdiff_t>(std::min<std::size_t>(128, kColumns - g * 128)));
      double mean = 0.0;
      for (const float w : group)
        mean += std::abs(static_cast<double>(w)) / static_cast<double>(group.size());
      const double step = kernels::scale_at(result->matrix.view(), r, g * 128);
      EXPECT_LE(error_at(group, step, 1), error_at(group, mean, 1) + 0x1p-22 * squares(group));
    }
  }
}

// The reported error is that of the packed matrix. For endless groups of normal weights numeric integration
// gives the errors below; groups of 128, whose steps suit their own weights, must do better, and by no more
// than a fifth.
TEST(Ternarize, ReportsItsError) {
  const double expected[] = {0.436, 0.175, 0.0685};
  for (const std::size_t planes : kPlanes) {
    const std::vector<float> data = normal_matrix(64, 1024);
    const auto result = run(64, 1024, data, planes);
    ASSERT_TRUE(result);
    double error = 0.0;
    for (std::size_t i = 0; i < data.size(); ++i) {
      const kernels::TernaryView view = result->matrix.view();
      const double q = static_cast<double>(kernels::scale_at(view, i / 1024, i % 1024)) *
                       kernels::unpack(view, i / 1024, i % 1024);
      error += (static_cast<double>(data[i]) - q) * (static_cast<double>(data[i]) - q);
    }
    // Both sums are of 2^16 doubles in another order.
    EXPECT_NEAR(result->relative_error, std::sqrt(error / squares(data)), 1e-11);
    EXPECT_LT(result->relative_error, expected[planes - 1]);
    EXPECT_GT(result->relative_error, 0.8 * expected[planes - 1]);
  }
}

TEST(Ternarize, TheSameBytesForAnyNumberOfThreads) {
  const std::vector<float> data = normal_matrix(100, 200);
  const auto one = run(100, 200, data, 3, 1);
  ASSERT_TRUE(one);
  for (const std::size_t threads : {2U, 3U, 7U}) {
    const auto many = run(100, 200, data, 3, threads);
    ASSERT_TRUE(many);
    EXPECT_EQ(std::memcmp(one->matrix.codes.data(), many->matrix.codes.data(), one->matrix.codes.size()), 0);
    EXPECT_EQ(std::memcmp(one->matrix.scales.data(), many->matrix.scales.data(), one->matrix.scales.size()),
              0);
    EXPECT_EQ(one->relative_error, many->relative_error);
  }
}

// Steps that are no normal f16: the whole matrix keeps them as f32, and loses nothing by it.
TEST(Ternarize, StepsOutsideOfHalfPrecision) {
  for (const float deviation : {1e-7F, 1e-30F, 1e7F}) {
    std::vector<float> data = normal_matrix(3, 256);
    for (std::size_t i = 0; i < 128; ++i) data[i] *= deviation / 0.02F;  // one group
    const auto result = run(3, 256, data, 3);
    ASSERT_TRUE(result);
    EXPECT_EQ(result->matrix.scale_type, kernels::ScaleType::f32);
    EXPECT_EQ(kernels::scale_at(result->matrix.view(), 0, 0), best_step(std::span(data).first(128), 13));
    EXPECT_EQ(kernels::scale_at(result->matrix.view(), 2, 255), best_step(std::span(data).last(128), 13));
  }
}

TEST(Ternarize, GroupsOfZeros) {
  std::vector<float> data = normal_matrix(2, 256);
  std::fill_n(data.begin(), 128, 0.0F);
  const auto result = run(2, 256, data, 2);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->matrix.scale_type, kernels::ScaleType::f16);
  EXPECT_EQ(kernels::scale_at(result->matrix.view(), 0, 0), 0.0F);
  for (std::size_t c = 0; c < 128; ++c) EXPECT_EQ(kernels::unpack(result->matrix.view(), 0, c), 0);
  const auto zero = run(1, 4, {0, 0, 0, 0}, 2);
  ASSERT_TRUE(zero);
  EXPECT_EQ(zero->relative_error, 0.0);
}

TEST(Ternarize, NamesTheFirstWeightThatIsNoNumber) {
  std::vector<float> data = normal_matrix(64, 10);
  data[637] = std::numeric_limits<float>::quiet_NaN();
  data[333] = std::numeric_limits<float>::infinity();
  for (const std::size_t threads : {1U, 2U, 4U}) {
    const auto result = run(64, 10, data, 3, threads);
    ASSERT_FALSE(result);
    EXPECT_THAT(result.error().message, HasSubstr("w: row 33, column 3 is inf"));
  }
}

}  // namespace
}  // namespace sterna::convert
