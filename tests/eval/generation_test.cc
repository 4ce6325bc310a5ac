#include "eval/generation/generation.h"

#include <gtest/gtest.h>

#include "eval/evaluate.h"
#include "eval/generation/needle.h"
#include "tests/support/engine.h"
#include "tests/support/tiny_model.h"

namespace sterna::eval {
namespace {

using runtime::TokenId;
using testing::TinyModel;

std::vector<TokenId> counted(std::size_t n) {
  std::vector<TokenId> tokens(n);
  for (std::size_t i = 0; i < n; ++i) tokens[i] = static_cast<TokenId>(i);
  return tokens;
}

std::vector<TokenId> repeated(std::vector<TokenId> tokens, std::size_t period, std::size_t times) {
  const std::size_t first = tokens.size();
  for (std::size_t i = 0; i < period * times; ++i) tokens.push_back(static_cast<TokenId>(5000 + i % period));
  EXPECT_EQ(tokens.size(), first + period * times);
  return tokens;
}

TEST(Loops, ThreeRoundsOfAnyPeriod) {
  for (const std::size_t period : {1, 2, 7, 100, 256}) {
    const std::size_t rounds = std::max<std::size_t>(3, (kLoopTokens + period - 1) / period);
    EXPECT_TRUE(loops(repeated(counted(20), period, rounds))) << period;
    EXPECT_FALSE(loops(repeated(counted(20), period, 2))) << period;
  }
  EXPECT_FALSE(loops(repeated(counted(20), 257, 3)));  // longer than any period that is looked for
}

TEST(Loops, OnlyAtTheEndAndNotTooShort) {
  std::vector<TokenId> recovered = repeated({}, 4, 10);
  recovered.push_back(1);
  EXPECT_FALSE(loops(recovered));
  EXPECT_FALSE(loops(repeated(counted(50), 1, kLoopTokens - 1)));  // "no, no, no"
  EXPECT_TRUE(loops(repeated(counted(50), 1, kLoopTokens)));
  EXPECT_FALSE(loops({}));
  EXPECT_FALSE(loops(counted(1000)));
}

TEST(Distinct, IsCountedWithinAnswers) {
  const std::vector<std::vector<TokenId>> answers = {{1, 2, 1, 2}, {1, 2}};
  EXPECT_DOUBLE_EQ(distinct_share(answers, 1), 2.0 / 6);
  EXPECT_DOUBLE_EQ(distinct_share(answers, 2), 2.0 / 4);  // 12 21 12 12
  EXPECT_DOUBLE_EQ(distinct_share(answers, 3), 1.0);
  EXPECT_DOUBLE_EQ(distinct_share(answers, 5), 0.0);
}

std::vector<Contestant> two_models(std::size_t second_seed) {
  std::vector<Contestant> models;
  for (const std::size_t seed : {std::size_t{1}, second_seed}) {
    const testing::TempDir directory;
    TinyModel(static_cast<unsigned>(seed)).write(directory);
    auto model = convert::load_model(directory.path(), {}, testing::test_pool());
    EXPECT_TRUE(model);
    const ModelResult who = identify(**model, "m", models.empty(), {});
    models.push_back({who.name, who.checksum, who.tokenizer, models.empty(),
                      testing::new_session(*std::move(model), {.context = 64, .batch = 16})});
  }
  return models;
}

GenerationSpec greedy() {
  return {.name = "greedy", .prompts = {"one", "two"}, .limit = 12, .sampling = {.temperature = 0}};
}

TEST(Generation, TheSameModelAgreesToTheEnd) {
  auto models = two_models(1);
  Journal none;
  const auto got = run_generation(models, greedy(), {none, testing::test_pool(), nullptr, nullptr});
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_FALSE((*got)[0].agreement);
  ASSERT_TRUE((*got)[1].agreement);
  EXPECT_EQ((*got)[1].agreement->value, 1);
  EXPECT_FALSE((*got)[1].answers[0].first_difference);
  EXPECT_EQ((*got)[1].answers[1].text, (*got)[0].answers[1].text);
  EXPECT_GT((*got)[0].length.value, 0);
}

TEST(Generation, AnotherModelLeavesTheAnswerSomewhere) {
  auto models = two_models(2);
  Journal none;
  const auto got = run_generation(models, greedy(), {none, testing::test_pool(), nullptr, nullptr});
  ASSERT_TRUE(got) << got.error().message;
  ASSERT_TRUE((*got)[1].answers[0].first_difference);
  EXPECT_LT((*got)[1].agreement->value, 1);
}

TEST(Generation, IsTakenFromTheJournal) {
  const testing::TempDir directory;
  const std::string path = directory.file("journal.jsonl");
  std::string first;
  {
    auto journal = Journal::open(path, false);
    auto models = two_models(2);
    const auto got = run_generation(models, greedy(), {*journal, testing::test_pool(), nullptr, nullptr});
    ASSERT_TRUE(got);
    first = (*got)[1].answers[1].text;
    EXPECT_EQ(journal->size(), 4U);
  }
  auto journal = Journal::open(path, true);
  ASSERT_EQ(journal->size(), 4U);
  auto models = two_models(2);
  const auto got = run_generation(models, greedy(), {*journal, testing::test_pool(), nullptr, nullptr});
  EXPECT_EQ((*got)[1].answers[1].text, first);
  EXPECT_EQ(journal->size(), 4U);
}

TEST(Needle, LengthsThatDoNotFitAreLeftOut) {
  auto models = two_models(2);  // contexts of 64
  Journal none;
  const NeedleSpec spec{.lengths = {4096}, .depths = {0.5}, .trials = 1};
  const auto got = run_needle(models, spec, {none, testing::test_pool(), nullptr, nullptr});
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_TRUE((*got)[0].empty());
}

// A byte a token and 1,024 positions: room for the question and some sentences.
TEST(Needle, AsksAtEveryLengthAndDepth) {
  TinyModel wide(1);
  wide.config["max_position_embeddings"] = 1024;
  const testing::TempDir directory;
  wide.write(directory);
  auto model = convert::load_model(directory.path(), {}, testing::test_pool());
  ASSERT_TRUE(model);
  std::vector<Contestant> models;
  models.push_back({"m", "1", "2", false, testing::new_session(*std::move(model), {.context = 1024})});
  Journal none;
  const NeedleSpec spec{.lengths = {512, 1024}, .depths = {0, 0.5, 1}, .trials = 2};
  const auto got = run_needle(models, spec, {none, testing::test_pool(), nullptr, nullptr});
  ASSERT_TRUE(got) << got.error().message;
  ASSERT_EQ((*got)[0].size(), 6U);
  for (const NeedleCell& cell : (*got)[0]) {
    EXPECT_EQ(cell.asked, 2U);
    EXPECT_EQ(cell.found, 0U);  // a random model
  }
}

}  // namespace
}  // namespace sterna::eval
