#include "runtime/synthetic.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "kernels/ternary_matmul/pack.h"
#include "runtime/benchmark.h"
#include "tests/support/engine.h"
#include "tests/support/small_config.h"

namespace sterna::runtime {
namespace {

using ::testing::HasSubstr;
using testing::small_config;

TEST(Synthetic, IsTheSameModelOnEveryCallAndAtAnyNumberOfThreads) {
  ThreadPool one(1);
  ThreadPool three(3);
  const auto a = synthetic_model(small_config(), one);
  const auto b = synthetic_model(small_config(), three);
  ASSERT_TRUE(a) << a.error().message;
  ASSERT_TRUE(b);
  const kernels::TernaryView& wa = (*a)->weights().layers[1].down.weight.trits;
  const kernels::TernaryView& wb = (*b)->weights().layers[1].down.weight.trits;
  EXPECT_TRUE(std::equal(wa.codes, wa.codes + wa.code_bytes(), wb.codes));
  EXPECT_FALSE(kernels::has_invalid_code(wa));
}

TEST(Synthetic, ComputesFiniteLogitsThatDifferBetweenTokens) {
  ThreadPool pool(2);
  const auto model = synthetic_model(small_config(), pool);
  ASSERT_TRUE(model);
  auto session = Session::create(*model, {}, testing::test_kernels(), pool);
  ASSERT_TRUE(session);
  const TokenId ids[] = {1, 2, 3};
  ASSERT_TRUE((*session)->append(ids));
  const auto logits = (*session)->logits();
  EXPECT_TRUE(std::all_of(logits.begin(), logits.end(), [](float x) { return std::isfinite(x); }));
  EXPECT_GT(*std::max_element(logits.begin(), logits.end()),
            *std::min_element(logits.begin(), logits.end()) + 1.0F);
}

TEST(Synthetic, AnUnknownShapeIsAnErrorThatListsThem) {
  ThreadPool pool(1);
  const auto model = synthetic_parts("7b", pool);
  ASSERT_FALSE(model);
  EXPECT_THAT(model.error().message, HasSubstr("'7b'"));
  for (const auto shape : synthetic_shapes())
    EXPECT_THAT(model.error().message, HasSubstr(std::string(shape)));
}

TEST(Benchmark, BytesPerTokenAreThoseOfTheTensors) {
  ThreadPool pool(1);
  const auto model = synthetic_model(small_config(), pool);
  ASSERT_TRUE(model);
  // Rows padded to 16, four trits a byte, a scale of 4 bytes: q, k, v, o, gate, up, down.
  const std::uint64_t layer =
      (48 + 16 + 16 + 48) * 48 / 4 + (80 + 80) * 48 / 4 + 48 * 80 / 4 + 7 * 4 + 2 * 4 * 48;
  const std::uint64_t head = 300 * (48 + 4);
  const std::uint64_t row = 128 + 4;  // split: a chunk of 128 columns
  const std::uint64_t fixed = 2 * layer + head + row + 4 * 48;
  const std::uint64_t read = head;
  EXPECT_EQ(bytes_per_token(**model, 0, kernels::KvType::f16, read), fixed);
  EXPECT_EQ(bytes_per_token(**model, 10, kernels::KvType::f16, read), fixed + 10 * 2 * 2 * 16 * 2);
  EXPECT_EQ(bytes_per_token(**model, 10, kernels::KvType::f32, read), fixed + 10 * 2 * 2 * 16 * 4);
  EXPECT_EQ(bytes_per_token(**model, 10, kernels::KvType::i8, read),
            fixed + 10 * 2 * 2 * (64 + 4));  // padded rows
}

TEST(Benchmark, MeasuresEveryRepetitionAndLeavesTheDepth) {
  ThreadPool pool(1);
  const auto model = synthetic_model(small_config(), pool);
  ASSERT_TRUE(model);
  auto session = Session::create(*model, {.context = 30}, testing::test_kernels(), pool);
  ASSERT_TRUE(session);
  const SpeedTest test{.prompt = 5, .generate = 4, .depth = 20};
  EXPECT_EQ(test.name(), "pp5+tg4 @ d20");
  EXPECT_EQ(test.context(), 29U);
  const auto result = measure_speed(**session, test, 3);
  ASSERT_TRUE(result) << result.error().message;
  ASSERT_EQ(result->tokens_per_second.size(), 3U);
  for (const double speed : result->tokens_per_second) EXPECT_GT(speed, 0.0);
  EXPECT_EQ((*session)->position(), 29U);
  Profile profile((*model)->config().layers);  // of the test, not of what fills the context before it
  ASSERT_TRUE(measure_speed(**session, {.prompt = 0, .generate = 1, .depth = 20}, 1, &profile));
  EXPECT_GT(profile.total(Step::attention), 0.0);
  EXPECT_EQ((*session)->position(), 21U);
  EXPECT_FALSE(measure_speed(**session, {.prompt = 31, .generate = 0, .depth = 0}, 1))
      << "the context holds 30";
}

TEST(Benchmark, MeanAndDeviationAreThoseOfASample) {
  const SpeedResult result{{2.0, 4.0, 6.0}};
  EXPECT_EQ(result.mean(), 4.0);
  EXPECT_EQ(result.deviation(), 2.0);
  EXPECT_EQ(SpeedResult{{5.0}}.deviation(), 0.0);
}

TEST(Profile, CountsTheStepsThatAModelHas) {
  ThreadPool pool(1);
  const auto model = synthetic_model(small_config(), pool);
  ASSERT_TRUE(model);
  auto session = Session::create(*model, {}, testing::test_kernels(), pool);
  ASSERT_TRUE(session);
  Profile profile((*model)->config().layers);
  (*session)->set_profile(&profile);
  const TokenId ids[] = {1, 2};
  ASSERT_TRUE((*session)->append(ids));
  for (std::size_t i = 0; i < kStepNames.size(); ++i) {
    EXPECT_GT(profile.total(static_cast<Step>(i)), 0.0) << kStepNames[i];
  }
  EXPECT_GT(profile.layers[1][static_cast<std::size_t>(Step::down)], 0.0);
}

}  // namespace
}  // namespace sterna::runtime
