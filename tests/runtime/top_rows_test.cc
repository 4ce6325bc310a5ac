// The largest logits of a head whose bits lie apart: the same as those of the whole head, bit for bit.
#include "runtime/top_rows.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "kernels/split_row/pack.h"
#include "runtime/generate.h"
#include "runtime/linear.h"
#include "runtime/synthetic.h"
#include "tests/support/engine.h"
#include "tests/support/small_config.h"

namespace sterna::runtime {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// int8 rows, whole and split.
struct Head {
  std::size_t columns;
  std::vector<std::int8_t> values;
  std::vector<float> scales;
  std::vector<std::uint8_t> codes;
  std::vector<float> bounds;

  Head(std::size_t rows, std::size_t width) : columns(width), values(rows * width), scales(rows, 0.01F) {}

  [[nodiscard]] DenseRows whole() const {
    return DenseRows(
        kernels::DenseView{scales.size(), columns, kernels::DenseType::i8, values.data(), scales.data()});
  }
  DenseRows split() {
    kernels::SplitView view;
    view.rows = scales.size();
    view.columns = columns;
    codes.resize(view.code_bytes());
    bounds.resize(view.rows * kernels::kSplitBounds);
    for (std::size_t row = 0; row < view.rows; ++row) {
      kernels::pack_split_row(view, row, values.data() + row * columns, codes.data() + view.high_at(row),
                              codes.data() + view.plane_at(0, 0), bounds.data());
    }
    view.row_scales = scales.data();
    view.codes = codes.data();
    view.bounds = bounds.data();
    return DenseRows(view);
  }
};

Head random_head(std::size_t rows, std::size_t columns, unsigned seed) {
  Head head(rows, columns);
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0F, 30.0F);
  for (std::int8_t& v : head.values)
    v = static_cast<std::int8_t>(std::clamp(std::nearbyint(normal(random)), -127.0F, 127.0F));
  for (float& scale : head.scales) scale = 0.005F + 0.01F * static_cast<float>(random() % 1000) / 1000.0F;
  return head;
}

std::vector<float> random_x(std::size_t n, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> x(n);
  for (float& e : x) e = normal(random);
  return x;
}

Activations activations(const Head& head, std::size_t threads) {
  ModelConfig config = testing::small_config();
  config.vocab = static_cast<std::uint32_t>(head.scales.size());
  config.hidden = static_cast<std::uint32_t>(head.columns);
  auto act = Activations::create(config, 1, 16, threads);
  EXPECT_TRUE(act);
  return *std::move(act);
}

bool same(float a, float b) { return (std::isnan(a) && std::isnan(b)) || std::memcmp(&a, &b, sizeof a) == 0; }

// Every logit that is among the `top` largest, or equals the smallest of them, must be there with its bits;
// the others are -infinity or their own. Returns the rows computed.
std::size_t expect_top(Head& head, const std::vector<float>& x, std::size_t top) {
  const std::size_t rows = head.scales.size();
  std::size_t computed = 0;
  for (const std::size_t threads : {1U, 3U}) {
    ThreadPool pool(threads);
    Activations act = activations(head, threads);
    std::vector<float> all(rows);
    std::vector<float> some(rows);
    EXPECT_TRUE(project_dense(testing::test_kernels(), pool, act, head.whole(), x.data(), 1, all.data()));
    EXPECT_TRUE(project_top(testing::test_kernels(), pool, act, head.split(), x.data(), top, some.data()));
    std::vector<float> sorted = all;
    std::nth_element(sorted.begin(), sorted.begin() + static_cast<std::ptrdiff_t>(top - 1), sorted.end(),
                     std::greater<>());
    const float least = sorted[top - 1];
    for (std::size_t r = 0; r < rows; ++r) {
      const bool needed = !(all[r] < least);
      EXPECT_TRUE(same(some[r], all[r]) || (!needed && some[r] == -kInfinity))
          << "row " << r << ": " << some[r] << ", all: " << all[r];
    }
    computed = act.head_reads.rows;
  }
  return computed;
}

TEST(TopRows, RandomHeadsHaveTheSameLargestLogits) {
  for (const std::size_t columns : {64U, 576U, 1000U}) {
    Head head = random_head(3001, columns, static_cast<unsigned>(columns));
    for (const std::size_t top : {1U, 40U, 375U}) {
      for (unsigned seed = 0; seed < 5; ++seed) {
        const std::size_t computed = expect_top(head, random_x(columns, seed), top);
        EXPECT_GE(computed, top);
        EXPECT_LT(computed, 3001U) << "nothing was left out";
      }
    }
  }
}

TEST(TopRows, AnOutlierInTheInputChangesNothing) {
  Head head = random_head(2000, 576, 7);
  for (const float outlier : {-80.0F, 1e4F}) {
    std::vector<float> x = random_x(576, 3);
    x[100] = outlier;
    expect_top(head, x, 1);
    expect_top(head, x, 40);
  }
}

// 250 copies of the row that wins, spread over the matrix: all of them are needed, whatever `top` is.
TEST(TopRows, EqualLogitsAreAllThere) {
  Head head = random_head(2000, 128, 2);
  for (std::size_t row = 3; row < 2000; row += 8) {
    std::fill_n(head.values.begin() + static_cast<std::ptrdiff_t>(row * 128), 128, std::int8_t{100});
    head.scales[row] = 0.02F;
  }
  const std::vector<float> x(128, 1.0F);
  EXPECT_EQ(expect_top(head, x, 1), 251U);  // the chosen one twice
  expect_top(head, x, 40);
}

TEST(TopRows, RowsThatAreAllEqualAreAllComputed) {
  Head head(1000, 100);
  std::fill(head.values.begin(), head.values.end(), std::int8_t{-7});
  expect_top(head, random_x(100, 1), 1);
  expect_top(head, random_x(100, 1), 40);
  expect_top(head, std::vector<float>(100, 0.0F), 40);
}

TEST(TopRows, ExtremesAndSignsOfScales) {
  Head head(1024, 200);
  std::mt19937 random(5);
  for (std::int8_t& v : head.values) v = random() % 2 == 0 ? std::int8_t{127} : std::int8_t{-127};
  for (std::size_t row = 0; row < 1024; row += 3) head.scales[row] = row % 2 == 0 ? -0.01F : 0.0F;
  expect_top(head, random_x(200, 1), 1);
  expect_top(head, random_x(200, 2), 40);
}

TEST(TopRows, AFaultShowsAsItDoesInTheWholeHead) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), kInfinity, 1e38F}) {
    Head head = random_head(1000, 64, 4);
    std::vector<float> x = random_x(64, 1);
    x[5] = bad;
    EXPECT_EQ(expect_top(head, x, 40), 1000U) << bad;
  }
}

// From a file that was not verified. The sampler passes over infinity, so the largest finite logit must be
// there as well, and must meet NaN.
TEST(TopRows, AScaleThatIsNotFiniteHidesNoRow) {
  const auto x = random_x(64, 1);
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), kInfinity, -kInfinity}) {
    Head head = random_head(1000, 64, 4);
    head.scales[500] = bad;
    ThreadPool pool(1);
    Activations act = activations(head, 1);
    std::vector<float> all(1000);
    std::vector<float> some(1000);
    ASSERT_TRUE(project_dense(testing::test_kernels(), pool, act, head.whole(), x.data(), 1, all.data()));
    ASSERT_TRUE(project_top(testing::test_kernels(), pool, act, head.split(), x.data(), 1, some.data()));
    EXPECT_TRUE(same(some[500], all[500])) << bad;
    all[500] = some[500] = -kInfinity;
    EXPECT_EQ(*std::max_element(some.begin(), some.end()), *std::max_element(all.begin(), all.end())) << bad;
  }
}

// Bounds that are not numbers rule nothing out; the file check refuses them, and those that are too small.
TEST(TopRows, ABoundThatIsNoNumberRulesNothingOut) {
  Head head = random_head(1000, 64, 4);
  const DenseRows split = head.split();
  std::fill(head.bounds.begin(), head.bounds.end(), std::numeric_limits<float>::quiet_NaN());
  ThreadPool pool(1);
  Activations act = activations(head, 1);
  const auto x = random_x(64, 1);
  std::vector<float> all(1000);
  std::vector<float> some(1000);
  ASSERT_TRUE(project_dense(testing::test_kernels(), pool, act, head.whole(), x.data(), 1, all.data()));
  ASSERT_TRUE(project_top(testing::test_kernels(), pool, act, split, x.data(), 1, some.data()));
  EXPECT_EQ(*std::max_element(some.begin(), some.end()), *std::max_element(all.begin(), all.end()));
}

TEST(TopRows, AScreeningThatRulesNothingOutPauses) {
  Head head(1000, 64);
  std::fill(head.values.begin(), head.values.end(), std::int8_t{5});
  const DenseRows split = head.split();
  ThreadPool pool(1);
  Activations act = activations(head, 1);
  const auto x = random_x(64, 1);
  std::vector<float> y(1000);
  ASSERT_TRUE(project_top(testing::test_kernels(), pool, act, split, x.data(), 1, y.data()));
  EXPECT_TRUE(act.head_reads.screened);
  ASSERT_TRUE(project_top(testing::test_kernels(), pool, act, split, x.data(), 1, y.data()));
  EXPECT_FALSE(act.head_reads.screened);
  EXPECT_EQ(bytes_read(split, act.head_reads), 1000 * split.row_bytes());
}

// The model of random weights with its embedding split, as it comes, and whole.
TEST(TopRows, TextsAreThoseOfTheWholeHead) {
  ModelConfig config = testing::small_config();
  config.vocab = 3000;
  ThreadPool pool(2);
  auto parts = synthetic_parts(config, pool);
  auto other = synthetic_parts(config, pool);
  ASSERT_TRUE(parts && other);
  const kernels::SplitView& split = other->weights.embedding.split();
  Head head(split.rows, split.columns);
  std::vector<std::byte> buffer(DenseRows::buffer_bytes(split.columns));
  for (std::size_t row = 0; row < split.rows; ++row) {
    ASSERT_TRUE(other->weights.embedding.values(testing::test_kernels(), row, row + 1, buffer,
                                                head.values.data() + row * split.columns));
  }
  head.scales.assign(split.row_scales, split.row_scales + split.rows);
  other->weights.embedding = other->weights.output = head.whole();
  const auto a = Model::create(*std::move(parts), "split");
  const auto b = Model::create(*std::move(other), "whole");
  ASSERT_TRUE(a && b);
  for (const float temperature : {0.0F, 0.8F, 2.0F}) {
    for (const std::uint32_t top_k : {0U, 40U}) {
      std::vector<TokenId> tokens[2];
      for (const bool whole : {false, true}) {
        const auto session = testing::new_session(whole ? *b : *a);
        Sampler sampler({.temperature = temperature, .top_k = top_k, .seed = 3});
        const TokenId prompt[] = {10, 20, 30};
        const auto text = generate(*session, prompt, 40, sampler, nullptr);
        ASSERT_TRUE(text) << text.error().message;
        tokens[whole ? 1 : 0] = text->tokens;
        EXPECT_EQ(session->head_reads().screened, !whole && sampler.need().top != 0);
      }
      EXPECT_EQ(tokens[0], tokens[1]) << temperature << " " << top_k;
    }
  }
}

}  // namespace
}  // namespace sterna::runtime
