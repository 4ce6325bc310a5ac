// The choice of planes within a budget, and what it is chosen by.
#include "convert/calibrate/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "convert/calibrate/choose_planes.h"
#include "convert/calibrate/plane_losses.h"
#include "convert/convert.h"
#include "convert/inspect.h"
#include "tests/support/engine.h"
#include "tests/support/shared_data.h"
#include "tests/support/tiny_model.h"

namespace sterna::convert {
namespace {

using ::testing::HasSubstr;
using testing::TempDir;
using testing::TinyModel;

std::uint64_t bytes_of(const std::vector<PlaneCosts>& matrices, const std::vector<std::size_t>& planes) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < matrices.size(); ++i) sum += matrices[i].bytes[planes[i] - 1];
  return sum;
}

double loss_of(const std::vector<PlaneCosts>& matrices, const std::vector<std::size_t>& planes) {
  double sum = 0.0;
  for (std::size_t i = 0; i < matrices.size(); ++i) sum += matrices[i].losses[planes[i] - 1];
  return sum;
}

std::uint64_t weights_of(const std::vector<PlaneCosts>& matrices) {
  std::uint64_t sum = 0;
  for (const PlaneCosts& m : matrices) sum += m.weights;
  return sum;
}

// The bits per weight that so many bytes are; in between two sizes, so that rounding decides nothing.
double bits_of(double bytes, std::uint64_t weights) {
  return 8.0 * (bytes + 0.5) / static_cast<double>(weights);
}

// The least loss of all choices within `budget` bytes.
double least_loss(const std::vector<PlaneCosts>& matrices, std::uint64_t budget) {
  std::vector<std::size_t> planes(matrices.size(), 1);
  double least = INFINITY;
  for (;;) {
    if (bytes_of(matrices, planes) <= budget) least = std::min(least, loss_of(matrices, planes));
    std::size_t i = 0;
    while (i < planes.size() && planes[i] == kernels::kMaxPlanes) planes[i++] = 1;
    if (i == planes.size()) return least;
    ++planes[i];
  }
}

// What the largest step of a lower convex hull gains. A step of it goes from one plane count to the next, or
// from one to three where two lie above the line between them.
double largest_step(const std::vector<PlaneCosts>& matrices) {
  double largest = 0.0;
  for (const PlaneCosts& m : matrices) {
    const double first = m.losses[0] - m.losses[1];
    const double second = m.losses[1] - m.losses[2];
    const auto run = [&](std::size_t k) { return static_cast<double>(m.bytes[k + 1] - m.bytes[k]); };
    if (first * run(1) >= second * run(0)) {
      largest = std::max({largest, first, second});
    } else {
      largest = std::max(largest, first + second);
    }
  }
  return largest;
}

// Shapes and losses of every kind: some fall evenly, some have two planes above the line between one and
// three, some do not fall at all.
std::vector<PlaneCosts> random_matrices(std::size_t n, unsigned seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<double> uniform(0.0, 1.0);
  std::vector<PlaneCosts> out(n);
  for (PlaneCosts& m : out) {
    const std::size_t rows = 16 * (1 + random() % 8);
    const std::size_t columns = 32 * (1 + random() % 8);
    m.weights = rows * columns;
    m.bytes = bytes_of_planes(rows, columns);
    m.losses[2] = uniform(random);
    m.losses[1] = m.losses[2] + (random() % 8 == 0 ? 0.0 : uniform(random));
    m.losses[0] = m.losses[1] + (random() % 8 == 0 ? 0.0 : 4.0 * uniform(random));
  }
  return out;
}

TEST(ChoosePlanes, KeepsTheBudgetAndIsWithinOneStepOfTheBestChoice) {
  std::size_t exact = 0;
  std::size_t all = 0;
  for (unsigned seed = 0; seed < 40; ++seed) {
    const auto matrices = random_matrices(6, seed);
    const std::vector<std::size_t> ones(matrices.size(), 1);
    const std::vector<std::size_t> threes(matrices.size(), 3);
    const std::uint64_t least = bytes_of(matrices, ones);
    const std::uint64_t most = bytes_of(matrices, threes);
    for (std::uint64_t step = 0; step < 12; ++step) {
      const std::uint64_t budget = least + (most - least) * step / 11;
      const auto planes = choose_planes(matrices, bits_of(static_cast<double>(budget), weights_of(matrices)));
      ASSERT_TRUE(planes) << planes.error().message;
      EXPECT_LE(bytes_of(matrices, *planes), budget);
      const double best = least_loss(matrices, budget);
      const double loss = loss_of(matrices, *planes);
      // Sums of six numbers below 6, in another order.
      constexpr double kRounding = 1e-13;
      EXPECT_GE(loss, best - kRounding);
      EXPECT_LE(loss, best + largest_step(matrices)) << seed << " " << step;
      exact += loss <= best + kRounding ? 1 : 0;
      ++all;
    }
  }
  EXPECT_GT(exact, all / 2);  // the bound is for the worst case; a choice that ignored losses would do worse
}

TEST(ChoosePlanes, OfEqualMatricesTheFirstComesFirst) {
  std::vector<PlaneCosts> matrices(3);
  for (PlaneCosts& m : matrices) m = {16 * 128, bytes_of_planes(16, 128), {4.0, 1.0, 0.5}};
  const std::uint64_t second = matrices[0].bytes[1] - matrices[0].bytes[0];
  const double budget = static_cast<double>(3 * matrices[0].bytes[0] + 2 * second);
  const auto planes = choose_planes(matrices, bits_of(budget, weights_of(matrices)));
  ASSERT_TRUE(planes);
  EXPECT_EQ(*planes, (std::vector<std::size_t>{2, 2, 1}));
}

TEST(ChoosePlanes, AllThatCanBeSpentIsThreePlanes) {
  const auto matrices = random_matrices(5, 1);
  const auto planes = choose_planes(matrices, 100.0);
  ASSERT_TRUE(planes);
  EXPECT_EQ(*planes, std::vector<std::size_t>(5, 3));
}

TEST(ChoosePlanes, TooLittleNamesTheLeastPossible) {
  const std::vector<PlaneCosts> matrices(2, {256 * 256, bytes_of_planes(256, 256), {4.0, 1.0, 0.5}});
  // Two bits and a scale of 16 bits for 128 columns.
  const auto refused = choose_planes(matrices, 2.1);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("2.1 bits per weight are too few"));
  EXPECT_THAT(refused.error().message, HasSubstr("takes 2.125"));
  const auto least = choose_planes(matrices, 2.125);
  ASSERT_TRUE(least);
  EXPECT_EQ(*least, (std::vector<std::size_t>{1, 1}));
  EXPECT_FALSE(choose_planes(matrices, std::nan("")));
}

TEST(BytesOfPlanes, AreThoseOfTheFile) {
  // 64 rows of 192 columns: codes of 2, 4, 5 bits, and two f16 scales a row.
  constexpr std::uint64_t kWeights = 64 * 192;
  constexpr std::uint64_t kScales = 64 * 2 * 2;
  EXPECT_EQ(bytes_of_planes(64, 192),
            (std::array<std::uint64_t, 3>{kWeights * 2 / 8 + kScales, kWeights * 4 / 8 + kScales,
                                          kWeights * 5 / 8 + kScales}));
}

// One family: weights, inputs, importance.
struct Problem {
  static constexpr std::size_t kRows = 256;
  static constexpr std::size_t kColumns = 160;  // a group and a quarter
  static constexpr std::size_t kTokens = 600;
  std::vector<float> weight, importance, inputs, derivatives;
  Moments moments{kColumns, 0};

  explicit Problem(std::size_t threads = 2) {
    std::mt19937 random(3);
    std::normal_distribution<float> normal(0.0F, 1.0F);
    weight.resize(kRows * kColumns);
    for (float& w : weight) w = normal(random);
    importance.resize(kRows);
    for (std::size_t r = 0; r < kRows; ++r) importance[r] = 0.5F + static_cast<float>(r % 7);
    inputs.resize(kColumns * kTokens);
    std::vector<float>& x = inputs;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const std::size_t column = i % kColumns;
      x[i] = normal(random) * (1.0F + 0.01F * static_cast<float>(column));
      if (column > 0) x[i] += 0.5F * x[i - 1];
    }
    runtime::ThreadPool pool(threads);
    moments.add(x, {}, {}, pool);
    moments.finish();
    // The same square for every token, so that the loss is 1/2 F e H e^T.
    for (std::size_t t = 0; t < kTokens; ++t) {
      for (const std::size_t first : sampled_pieces(kRows)) {
        for (std::size_t r = first; r < first + 32; ++r)
          derivatives.push_back((t % 2 == 0 ? 1.0F : -1.0F) * std::sqrt(importance[r]));
      }
    }
  }
};

// Independent rows of normal weights: a few pieces say what all rows lose. The pieces' mean over 64 of 256
// rows whose losses are sums of 160 terms strays by 1 / sqrt(64 * 160) = 1 % of it, three planes and unequal
// terms by a few times that.
TEST(PlaneLosses, OfAFewPiecesAreThoseOfTheWholeFit) {
  const Problem problem;
  runtime::ThreadPool pool(2);
  const auto factor = factorise(problem.moments.second(), Problem::kColumns);
  ASSERT_TRUE(factor);
  const FitOptions options;
  const LossTask task{problem.weight, problem.importance, problem.derivatives};
  const auto losses = losses_of_planes({&task, 1}, problem.moments, *factor, problem.inputs, options, pool);
  ASSERT_EQ(losses.size(), 1U);
  FitOptions plain = options;
  plain.alpha = plain.beta = 0.0;
  for (std::size_t planes = 1; planes <= 3; ++planes) {
    const FitTask whole{problem.weight, Problem::kRows, planes, false};
    const auto fitted = fit({&whole, 1}, problem.moments, *factor, plain, pool);
    double loss = 0.0;
    for (std::size_t r = 0; r < Problem::kRows; ++r) {
      const LevelMatrix& m = fitted.front().matrix;
      std::vector<double> e(Problem::kColumns);
      for (std::size_t c = 0; c < e.size(); ++c) {
        e[c] = double{problem.weight[r * e.size() + c]} -
               double{m.scales[r * m.groups() + c / 128]} * m.levels[r * e.size() + c];
      }
      for (std::size_t i = 0; i < e.size(); ++i) {
        for (std::size_t j = 0; j < e.size(); ++j)
          loss += 0.5 * double{problem.importance[r]} * e[i] * e[j] *
                  double{problem.moments.second()[i * e.size() + j]};
      }
    }
    EXPECT_NEAR(losses[0][planes - 1], loss, 0.05 * loss) << planes;
  }
  EXPECT_GT(losses[0][0], losses[0][1]);
  EXPECT_GT(losses[0][1], losses[0][2]);
}

TEST(PlaneLosses, HaveTheSameBitsWithAnyNumberOfThreads) {
  const Problem problem;
  const auto factor = factorise(problem.moments.second(), Problem::kColumns);
  ASSERT_TRUE(factor);
  const LossTask task{problem.weight, problem.importance, problem.derivatives};
  // Another one of 48 rows, all of which are looked at.
  const std::vector<float> derivatives(Problem::kTokens * sampled_rows(48), 0.5F);
  const std::vector<LossTask> tasks{task,
                                    {std::span(problem.weight).first(48 * Problem::kColumns),
                                     std::span(problem.importance).first(48), derivatives}};
  const auto with = [&](std::size_t threads) {
    runtime::ThreadPool pool(threads);
    return losses_of_planes(tasks, problem.moments, *factor, problem.inputs, {}, pool);
  };
  EXPECT_EQ(with(1), with(5));
}

// Of three layers the middle one's is the fourth root of its own squared and its neighbours'; those at the
// ends have one neighbour. Other roles do not matter.
TEST(PlaneLosses, AreSmoothedOverNeighbouringLayersOfTheRole) {
  std::vector<LossOfPlanes> losses(3 * 7, {1.0, 1.0, 1.0});
  losses[7 + 2] = {16.0, 1.0, 0.0};
  const auto found = smoothed(losses);
  // Logarithms and exponentials of double numbers, each off by an ulp or two of values up to 3.
  constexpr double kRounding = 1e-14;
  EXPECT_NEAR(found[7 + 2][0], 4.0, kRounding);
  EXPECT_NEAR(found[2][0], std::cbrt(16.0), kRounding);
  EXPECT_NEAR(found[14 + 2][0], std::cbrt(16.0), kRounding);
  for (const std::size_t other : {0U, 3U, 8U, 10U, 20U}) EXPECT_EQ(found[other][0], 1.0) << other;
  EXPECT_EQ(found[7 + 2][1], 1.0);
  EXPECT_NEAR(found[7 + 2][2], 0.0, 1e-100);  // nothing at all stays next to nothing
}

TEST(PlaneLosses, CountMoreInLaterLayers) {
  const std::vector<LossOfPlanes> losses(4 * 7, {4.0, 2.0, 1.0});
  const auto found = weighted_by_depth(losses);
  // Exact: 1 + 3 l / 3.
  EXPECT_EQ(found[3], (LossOfPlanes{4.0, 2.0, 1.0}));
  EXPECT_EQ(found[7 + 3], (LossOfPlanes{8.0, 4.0, 2.0}));
  EXPECT_EQ(found[21], (LossOfPlanes{16.0, 8.0, 4.0}));
  // A single layer stays as it is.
  EXPECT_EQ(weighted_by_depth(std::span(losses).first(7)).front(), losses.front());
}

// A calibrated conversion of the tiny model.
constexpr std::size_t kWindow = 32;

std::string some_text() {
  std::string text;
  std::mt19937 random(9);
  while (text.size() < 2000) text += static_cast<char>(random() % 3 == 0 ? ' ' : 'a' + random() % 26);
  return text;
}

struct Conversion {
  TempDir folder;
  explicit Conversion(unsigned seed = 1) {
    TinyModel(seed).write(folder);
    folder.write("text.txt", some_text());
  }
  [[nodiscard]] ConvertOptions options(double bits_per_weight) const {
    ConvertOptions o;
    o.bits_per_weight = bits_per_weight;
    FitRun run;
    run.calibration.text.files = {folder.file("text.txt")};
    run.calibration.text.tokens = 512;
    run.calibration.window = kWindow;
    run.calibration.resume = true;
    run.kernels = &testing::test_kernels();
    o.fit = std::move(run);
    return o;
  }
  Result<ConvertReport> convert(const ConvertOptions& o, std::size_t threads = 2) const {
    runtime::ThreadPool pool(threads);
    return convert_directory(folder.path(), folder.file("m.gguf"), o, pool, nullptr, [] { return false; });
  }
};

TEST(PlannedConversion, KeepsTheBudgetAndSaysWhatItDid) {
  const Conversion run;
  const auto bytes = [](const ConvertReport& r) {
    return 8.0 * static_cast<double>(r.linear_bytes) / static_cast<double>(r.linear_weights);
  };
  // 32 columns have a scale each: half a bit more than codes of 2, 4 and 5 bits; rows of 48 have one, too.
  double last = 0.0;
  for (const double budget : {2.9, 3.7, 4.4, 5.2}) {
    const auto report = run.convert(run.options(budget));
    ASSERT_TRUE(report) << report.error().message;
    ASSERT_TRUE(report->fit && report->fit->plan);
    const Plan& plan = *report->fit->plan;
    EXPECT_LE(bytes(*report), budget);
    EXPECT_DOUBLE_EQ(bytes(*report), plan.bits_per_weight());
    EXPECT_GT(plan.bits_per_weight(), last);
    last = plan.bits_per_weight();
    EXPECT_THAT(report->source, HasSubstr(fmt::format("calibrated, {:.2f} bits per weight (", last)));
    runtime::ThreadPool pool(2);
    const auto inspection = inspect(run.folder.file("m.gguf"), true, pool);
    ASSERT_TRUE(inspection);
    std::size_t seen = 0;
    for (const InspectedTensor& t : inspection->tensors) {
      const auto planned = std::ranges::find(plan.matrices, t.name, &PlannedMatrix::name);
      if (planned == plan.matrices.end()) continue;
      EXPECT_EQ(t.planes, planned->planes) << t.name;
      ++seen;
    }
    EXPECT_EQ(seen, 14U);  // seven linears in each of two layers
  }
}

TEST(PlannedConversion, TheSameBytesAtAnyNumberOfThreads) {
  const Conversion run;
  const auto bytes = [&](std::size_t threads) {
    EXPECT_TRUE(run.convert(run.options(4.0), threads));
    return testing::read_file(run.folder.file("m.gguf"));
  };
  const std::string one = bytes(1);
  EXPECT_EQ(one, bytes(2));
  EXPECT_EQ(one, bytes(5));
}

TEST(PlannedConversion, GoesOnWithThePlanThatIsThere) {
  const Conversion run;
  ConvertOptions stopped = run.options(4.0);
  bool stop = false;
  stopped.fit->on_layer = [&](const CalibratedLayer&) { stop = true; };
  runtime::ThreadPool pool(2);
  const auto interrupted = convert_directory(run.folder.path(), run.folder.file("m.gguf"), stopped, pool,
                                             nullptr, [&] { return stop; });
  ASSERT_FALSE(interrupted);
  const std::string plan = run.folder.file("m.gguf.calibration/plan");
  ASSERT_TRUE(std::filesystem::exists(plan));

  const auto other = run.convert(run.options(4.1));
  ASSERT_FALSE(other);
  EXPECT_THAT(other.error().message, HasSubstr("other settings"));

  std::size_t planned = 0;
  ConvertOptions resumed = run.options(4.0);
  resumed.fit->progress = [&](std::size_t, std::size_t, const std::string& what) {
    planned += what == "planes";
  };
  ASSERT_TRUE(run.convert(resumed));
  EXPECT_EQ(planned, 0U);
  const std::string bytes = testing::read_file(run.folder.file("m.gguf"));
  ASSERT_TRUE(run.convert(resumed));  // the work folder is gone: planned anew
  EXPECT_EQ(planned, 4U);             // two layers, there and back
  EXPECT_EQ(bytes, testing::read_file(run.folder.file("m.gguf")));
}

TEST(PlannedConversion, ADamagedPlanIsRefused) {
  const Conversion run;
  ConvertOptions stopped = run.options(4.0);
  bool stop = false;
  stopped.fit->on_layer = [&](const CalibratedLayer&) { stop = true; };
  runtime::ThreadPool pool(2);
  ASSERT_FALSE(convert_directory(run.folder.path(), run.folder.file("m.gguf"), stopped, pool, nullptr,
                                 [&] { return stop; }));
  std::string plan = testing::read_file(run.folder.file("m.gguf.calibration/plan"));
  plan[plan.size() / 2] ^= 1;
  run.folder.write("m.gguf.calibration/plan", plan);
  const auto refused = run.convert(run.options(4.0));
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("plan: is damaged"));
}

TEST(PlannedConversion, WhatCannotBePlannedIsRefusedBeforeTheWork) {
  const Conversion run;
  const auto refused = [&](const ConvertOptions& o, const char* why) {
    const auto report = run.convert(o);
    ASSERT_FALSE(report);
    EXPECT_THAT(report.error().message, HasSubstr(why));
    EXPECT_FALSE(std::filesystem::exists(run.folder.file("m.gguf")));
  };
  refused(run.options(1.0), "too few");
  EXPECT_FALSE(std::filesystem::exists(run.folder.file("m.gguf.calibration")));  // before any work
  ConvertOptions both = run.options(4.0);
  both.planes = 2;
  refused(both, "exclude each other");
  ConvertOptions blind = run.options(4.0);
  blind.fit.reset();
  refused(blind, "--calibrate");
}

}  // namespace
}  // namespace sterna::convert
