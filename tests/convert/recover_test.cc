// The tuning of scales and gains with frozen trits: that it helps, that its bits do not depend on threads or
// interruptions, and that nothing gets worse.
#include "convert/recover/recover.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <random>
#include <string>

#include "convert/recover/state.h"
#include "tests/support/engine.h"
#include "tests/support/temp_dir.h"

namespace sterna::convert {
namespace {

using ::testing::HasSubstr;
using testing::test_kernels;

constexpr std::size_t kTokens = 16;

runtime::ModelConfig small() {
  runtime::ModelConfig c;
  c.hidden = 64;
  c.layers = 2;
  c.heads = 4;
  c.kv_heads = 2;
  c.head_dim = 16;
  c.ffn = 160;  // two groups of columns
  c.vocab = 64;
  c.context = kTokens;
  return c;
}

// A random model of 2 planes, and a text.
struct Fixture {
  std::vector<float> embedding;
  TunableModel model;
  std::vector<std::int32_t> ids;
  std::mt19937 random{7};

  explicit Fixture(std::size_t windows = 40) {
    model.config = small();
    const runtime::ModelConfig& c = model.config;
    embedding.resize(std::size_t{c.vocab} * c.hidden);
    std::normal_distribution<float> normal(0.0F, 1.0F);
    for (float& v : embedding) v = normal(random) * 0.5F;
    model.embedding = model.head = embedding;
    model.norm.assign(c.hidden, 1.0F);
    model.blocks.resize(c.layers);
    for (TunableBlock& block : model.blocks) fill(block);
    ids.resize(windows * kTokens);
    for (std::int32_t& id : ids) id = static_cast<std::int32_t>(random() % c.vocab);
  }
  Fixture(const Fixture&) = delete;
  Fixture& operator=(const Fixture&) = delete;

  void fill(TunableBlock& block) {
    const runtime::ModelConfig& c = model.config;
    BlockWeights& w = block.weights;
    w.attention_norm.assign(c.hidden, 1.0F);
    w.ffn_norm.assign(c.hidden, 1.0F);
    const auto linear = [&](DenseLinear& weights, std::size_t i, std::size_t rows, std::size_t columns) {
      weights.rows = rows;
      weights.columns = columns;
      LevelMatrix& m = block.levels[i];
      m = LevelMatrix::zeros(rows, columns, 2);
      for (std::int8_t& level : m.levels)
        level = static_cast<std::int8_t>(static_cast<int>(random() % 9) - 4);
      for (float& s : m.scales) s = 0.4F / std::sqrt(static_cast<float>(columns));
      m.round_scales();
    };
    linear(w.q, 0, c.q_width(), c.hidden);
    linear(w.k, 1, c.kv_width(), c.hidden);
    linear(w.v, 2, c.kv_width(), c.hidden);
    linear(w.o, 3, c.hidden, c.q_width());
    linear(w.gate, 4, c.ffn, c.hidden);
    linear(w.up, 5, c.ffn, c.hidden);
    linear(w.down, 6, c.hidden, c.ffn);
  }

  [[nodiscard]] TextWindows text() const { return {ids, kTokens}; }

  // What the model says now.
  [[nodiscard]] std::vector<float> states() {
    DenseBlock::Buffers buffers;
    const TeacherWeights weights{embedding, model.norm, model.blocks.size(),
                                 [&](std::size_t layer) -> Result<BlockWeights> {
                                   const DenseBlock dense(model.blocks[layer], buffers, testing::test_pool());
                                   return BlockWeights(model.blocks[layer].weights);
                                 }};
    auto result = teacher_states(model.config, weights, text(), test_kernels(), testing::test_pool(),
                                 [] { return false; });
    EXPECT_TRUE(result);
    return *result;
  }
  // Every scale and gain times exp(deviation * normal).
  void disturb(float deviation) {
    std::normal_distribution<float> normal(0.0F, deviation);
    const auto change = [&](std::vector<float>& values) {
      for (float& v : values) v *= std::exp(normal(random));
    };
    change(model.norm);
    for (TunableBlock& block : model.blocks) {
      change(block.weights.attention_norm);
      change(block.weights.ffn_norm);
      for (LevelMatrix& m : block.levels) {
        change(m.scales);
        m.round_scales();
      }
    }
  }
  // All tuned numbers.
  [[nodiscard]] std::vector<float> numbers() {
    const ParameterMap map(model);
    return {map.start().begin(), map.start().end()};
  }
};

RecoverOptions few_steps(std::size_t steps) {
  RecoverOptions options;
  options.steps = steps;
  options.batch = 3;
  options.measure_every = 4;
  return options;
}

Result<RecoverReport> tune(
    Fixture& fixture, const Teacher* teacher, const RecoverOptions& options,
    runtime::ThreadPool& pool = testing::test_pool(),
    const std::function<void(const RecoverProgress&)>& progress = nullptr,
    const std::function<bool()>& cancelled = [] { return false; }) {
  return recover(fixture.model, fixture.text(), teacher, options, test_kernels(), pool, progress, cancelled);
}

// A disturbed model and the teacher that it was.
struct Disturbed : Fixture {
  std::vector<float> taught = states();
  Teacher teacher = teacher_in_memory(embedding, taught);
  explicit Disturbed(std::size_t windows = 40) : Fixture(windows) { disturb(0.2F); }
};

TEST(RecoverTest, DisturbedScalesAreBroughtBack) {
  Disturbed fixture(200);
  RecoverOptions options;
  options.steps = 400;
  options.batch = 4;
  const auto report = tune(fixture, &fixture.teacher, options);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->steps, 400U);
  // 1,500 numbers are sought from 3,136 tokens with 64 logits each, so the teacher's own are the minimum, and
  // near it the divergence is quadratic in the factors' logarithms: a twentieth is left if these have shrunk
  // from 0.2 to 0.045, which 400 steps of up to 0.01 can do wherever a scale matters.
  EXPECT_LT(report->best_loss, 0.05 * report->start_loss);
  // It is the model's own loss: the best parameters are in it.
  const auto again = tune(fixture, &fixture.teacher, few_steps(1));
  ASSERT_TRUE(again);
  EXPECT_EQ(again->start_loss, report->best_loss);
}

TEST(RecoverTest, ModelThatIsItsOwnTeacherStaysAsItIs) {
  Fixture fixture;
  const std::vector<float> taught = fixture.states();
  const Teacher teacher = teacher_in_memory(fixture.embedding, taught);
  const std::vector<float> before = fixture.numbers();
  const auto report = tune(fixture, &teacher, few_steps(8));
  ASSERT_TRUE(report);
  EXPECT_EQ(report->start_loss, 0.0);  // the same bits diverge by exactly 0
  EXPECT_EQ(report->best_step, 0U);
  EXPECT_EQ(fixture.numbers(), before);
}

// A text with a rule, token after token, is learnt without a teacher.
TEST(RecoverTest, WithoutTeacherTheTextIsLearnt) {
  Fixture fixture;
  for (std::size_t i = 0; i < fixture.ids.size(); ++i) fixture.ids[i] = static_cast<std::int32_t>(i % 4);
  RecoverOptions options = few_steps(40);
  const auto report = tune(fixture, nullptr, options);
  ASSERT_TRUE(report);
  EXPECT_LT(report->best_loss, 0.5 * report->start_loss);
}

TEST(RecoverTest, BitsDoNotDependOnThreads) {
  std::vector<float> one;
  double loss = 0;
  for (const std::size_t threads : {1, 2, 3}) {
    Disturbed fixture;
    runtime::ThreadPool pool(threads);
    const auto report = tune(fixture, &fixture.teacher, few_steps(6), pool);
    ASSERT_TRUE(report);
    EXPECT_GT(report->best_step, 0U);
    if (threads == 1) {
      one = fixture.numbers();
      loss = report->best_loss;
    }
    EXPECT_EQ(fixture.numbers(), one) << threads;
    EXPECT_EQ(report->best_loss, loss) << threads;
  }
}

// Interrupted in a step, in the measurement after one, and at the start; twice in one run.
TEST(RecoverTest, ResumedRunEndsAsAnUninterruptedOne) {
  Disturbed whole;
  std::size_t asked = 0;
  const auto count = [&] {
    ++asked;
    return false;
  };
  const auto expected = tune(whole, &whole.teacher, few_steps(10), testing::test_pool(), nullptr, count);
  ASSERT_TRUE(expected);
  const std::vector<float> numbers = whole.numbers();

  const testing::TempDir directory;
  for (std::size_t interval = 2; interval < asked; interval += asked / 7) {
    Disturbed fixture;
    RecoverOptions options = few_steps(10);
    options.state = directory.file(fmt::format("state{}", interval));
    std::size_t limit = interval;
    std::size_t parts = 1;
    auto report =
        tune(fixture, &fixture.teacher, options, testing::test_pool(), nullptr, [&] { return limit-- == 0; });
    EXPECT_FALSE(report);
    while (!report && parts < 3) {
      EXPECT_THAT(report.error().message, HasSubstr("interrupted after"));
      ++parts;
      limit = parts == 2 ? interval + 3 : std::numeric_limits<std::size_t>::max();
      report = tune(fixture, &fixture.teacher, options, testing::test_pool(), nullptr,
                    [&] { return limit-- == 0; });
    }
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_EQ(report->best_loss, expected->best_loss) << interval;
    EXPECT_EQ(report->start_loss, expected->start_loss) << interval;
    EXPECT_EQ(report->best_step, expected->best_step) << interval;
    EXPECT_EQ(fixture.numbers(), numbers) << interval;
  }
}

TEST(RecoverTest, InterruptedRunLeavesTheModelAsItWas) {
  Disturbed fixture;
  const std::vector<float> before = fixture.numbers();
  std::size_t left = 30;
  const auto report = tune(fixture, &fixture.teacher, few_steps(20), testing::test_pool(), nullptr,
                           [&] { return left-- == 0; });
  ASSERT_FALSE(report);
  EXPECT_EQ(fixture.numbers(), before);
}

TEST(RecoverTest, StepsThatDoHarmAreNotKept) {
  Disturbed fixture;
  const std::vector<float> before = fixture.numbers();
  RecoverOptions options = few_steps(8);
  options.scale_rate = options.gain_rate = 3.0F;  // e^3 per step
  const auto report = tune(fixture, &fixture.teacher, options);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->best_step, 0U);
  EXPECT_EQ(report->best_loss, report->start_loss);
  EXPECT_EQ(fixture.numbers(), before);
}

// The smallest of all measurements is the one returned, wherever in the run it was.
TEST(RecoverTest, BestMeasurementIsReturned) {
  Disturbed fixture;
  RecoverOptions options = few_steps(24);
  options.measure_every = 2;
  options.scale_rate = options.gain_rate = 0.15F;
  std::vector<double> measured;
  const auto report =
      tune(fixture, &fixture.teacher, options, testing::test_pool(), [&](const RecoverProgress& p) {
        EXPECT_EQ(p.steps, 24U);
        if (p.step % 2 == 0) measured.push_back(p.held_out);
      });
  ASSERT_TRUE(report);
  ASSERT_EQ(measured.size(), 13U);
  const auto best = std::ranges::min_element(measured);
  EXPECT_EQ(report->best_loss, *best);
  EXPECT_EQ(report->best_step, 2 * static_cast<std::size_t>(best - measured.begin()));
}

TEST(RecoverTest, ZeroScalesAndTritsStay) {
  Disturbed fixture;
  LevelMatrix& m = fixture.model.blocks[1].levels[4];
  m.scales[5] = 0.0F;
  const std::vector<std::int8_t> levels = m.levels;
  const std::vector<float> scales = m.scales;
  const auto report = tune(fixture, &fixture.teacher, few_steps(8));
  ASSERT_TRUE(report);
  EXPECT_GT(report->best_step, 0U);
  EXPECT_EQ(m.levels, levels);
  EXPECT_EQ(m.scales[5], 0.0F);
  EXPECT_NE(m.scales, scales);
  EXPECT_TRUE(fixture.model.blocks[1].weights.gate.weight.empty());  // dense only while it is computed
}

TEST(RecoverTest, DenseLinearsAreNotTuned) {
  Disturbed fixture;
  TunableBlock& block = fixture.model.blocks[0];
  LevelMatrix& m = block.levels[6];
  block.weights.down.weight.resize(m.rows * m.columns);
  m.dequantize(block.weights.down.weight);
  m = {};
  const std::vector<float> before = block.weights.down.weight;
  const auto report = tune(fixture, &fixture.teacher, few_steps(8));
  ASSERT_TRUE(report);
  EXPECT_LT(report->best_loss, report->start_loss);
  EXPECT_EQ(block.weights.down.weight, before);
}

TEST(RecoverTest, TimeDecidesTheStepsWhenItIsShort) {
  Disturbed fixture;
  RecoverOptions options = few_steps(100000);
  options.minutes = 1e-9;
  std::vector<std::size_t> steps;
  const auto report = tune(fixture, &fixture.teacher, options, testing::test_pool(),
                           [&](const RecoverProgress& p) { steps.push_back(p.steps); });
  ASSERT_TRUE(report);
  EXPECT_LE(report->steps, 3U);  // those that are timed
  EXPECT_EQ(steps.front(), 0U);  // not settled
  EXPECT_EQ(steps.back(), report->steps);
}

TEST(RecoverTest, ShortTextIsRefused) {
  Fixture fixture(4);
  const auto report = tune(fixture, nullptr, few_steps(1));
  ASSERT_FALSE(report);
  EXPECT_THAT(report.error().message, HasSubstr("4 windows of 16 tokens"));
}

TEST(RecoverTest, TeachersErrorIsReported) {
  Disturbed fixture;
  const Teacher teacher{fixture.embedding,
                        [](std::size_t, std::span<float>) -> Status { return fail("lost"); }};
  const auto report = tune(fixture, &teacher, few_steps(1));
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().message, "lost");
}

class RecoverStateTest : public ::testing::Test {
 protected:
  void SetUp() override {
    options.state = directory.file("state");
    ASSERT_TRUE(tune(fixture, &fixture.teacher, options));
    std::ifstream in(options.state, std::ios::binary);
    bytes.assign(std::istreambuf_iterator<char>(in), {});
  }
  std::string error() {
    Disturbed again;
    const auto report = tune(again, &again.teacher, options);
    return report ? "" : report.error().message;
  }
  testing::TempDir directory;
  Disturbed fixture;
  RecoverOptions options = few_steps(2);
  std::string bytes;
};

TEST_F(RecoverStateTest, FinishedRunIsTakenAsItIs) {
  Disturbed again;
  std::size_t calls = 0;
  const auto report = tune(again, &again.teacher, options, testing::test_pool(), nullptr, [&] {
    ++calls;
    return false;
  });
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(calls, 0U);  // nothing is computed
  EXPECT_EQ(again.numbers(), fixture.numbers());
}

TEST_F(RecoverStateTest, DamageIsFound) {
  for (const std::size_t at : {std::size_t{0}, std::size_t{30}, bytes.size() / 2, bytes.size() - 1}) {
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ 1);
    directory.write("state", damaged);
    EXPECT_THAT(error(), HasSubstr("not a state of --recover, or damaged")) << at;
  }
  for (const std::size_t size : {std::size_t{0}, std::size_t{50}, bytes.size() - 1}) {
    directory.write("state", std::string_view(bytes).substr(0, size));
    EXPECT_THAT(error(), HasSubstr("not a state of --recover, or damaged")) << size;
  }
}

TEST_F(RecoverStateTest, StateOfAnotherRunIsRefused) {
  options.seed = 2;
  EXPECT_THAT(error(), HasSubstr("another model, text or options"));
}

TEST_F(RecoverStateTest, StateOfAnotherEmbeddingIsRefused) {
  for (const bool head : {false, true}) {  // as with another --embedding
    Disturbed again;
    std::vector<float> other = again.embedding;
    other.back() += 1.0F;
    (head ? again.model.head : again.model.embedding) = other;
    const auto report = tune(again, &again.teacher, options);
    ASSERT_FALSE(report);
    EXPECT_THAT(report.error().message, HasSubstr("another model, text or options"));
  }
}

TEST(RateTest, WarmUpThenCosine) {
  EXPECT_DOUBLE_EQ(rate_factor(0, 25, 5), 0.2);
  EXPECT_DOUBLE_EQ(rate_factor(4, 25, 5), 1.0);
  EXPECT_DOUBLE_EQ(rate_factor(5, 25, 5), 1.0);
  EXPECT_DOUBLE_EQ(rate_factor(15, 25, 5), 0.525);  // half way between 1 and 0.05
  EXPECT_DOUBLE_EQ(rate_factor(25, 25, 5), 0.05);
  EXPECT_DOUBLE_EQ(rate_factor(2, 0, 5), rate_factor(2, 1000, 5));  // before the number of steps is known
}

}  // namespace
}  // namespace sterna::convert
