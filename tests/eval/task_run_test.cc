#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "eval/tasks/run.h"
#include "tests/eval/tiny_session.h"

namespace sterna::eval {
namespace {

using ::testing::ElementsAre;
using testing::TempDir;
using testing::tiny_session;
using testing::TinyModel;

std::vector<Contestant> two_models() {
  std::vector<Contestant> models;
  for (const unsigned seed : {1U, 2U}) {
    Contestant model;
    model.name = seed == 1 ? "baseline" : "other";
    model.checksum = seed == 1 ? "aa" : "bb";
    model.is_baseline = seed == 1;
    model.session = tiny_session(TinyModel(seed));
    models.push_back(std::move(model));
  }
  return models;
}

Task twelve_items() {
  const TempDir directory;
  std::string rows;
  for (int i = 0; i < 12; ++i) {
    rows += nlohmann::json{{"context", "Question " + std::to_string(i * i)},
                           {"choices", {"a", "yes, " + std::to_string(i), "none of these"}},
                           {"answer", i < 2   ? 0
                                      : i < 8 ? 1
                                              : 2}}
                .dump() +
            "\n";
  }
  directory.write("rows.jsonl", rows);
  auto task = load_task({.file = directory.file("rows.jsonl"), .shots = 1});
  EXPECT_TRUE(task);
  return *std::move(task);
}

Surroundings quiet(Journal& journal) { return {journal, testing::test_pool(), {}, {}}; }

std::vector<TaskResult> results_of(std::span<Contestant> models, const Task& task, Journal& journal) {
  auto results = run_task(models, task, quiet(journal));
  EXPECT_TRUE(results) << (results ? "" : results.error().message);
  return results ? *std::move(results) : std::vector<TaskResult>(models.size());
}

// The bits of everything that a report shows.
std::vector<double> numbers(const std::vector<TaskResult>& results) {
  std::vector<double> all;
  for (const TaskResult& r : results) {
    all.insert(all.end(), {r.acc.value, r.acc.error, r.acc_norm->value, r.acc_norm->error});
    if (r.acc_test) all.insert(all.end(), {r.acc_test->p_value, r.acc_test->difference.value});
  }
  return all;
}

TEST(Chosen, LengthsDecideBetweenTheTwoAccuracies) {
  const std::vector<double> likelihoods = {-4.0, -6.0, -9.0};
  EXPECT_EQ(chosen(likelihoods, {}), 0);
  EXPECT_EQ(chosen(likelihoods, std::vector<std::size_t>{2, 4, 5}), 1);  // -2, -1.5, -1.8
  EXPECT_EQ(chosen(std::vector<double>{-1.0, -1.0}, {}), 0);             // the first of equal ones
}

TEST(RunTask, AccuraciesAreThoseOfTheScores) {
  auto models = two_models();
  const Task task = twelve_items();
  std::size_t right = 0;
  std::size_t right_norm = 0;
  Scorer scorer(*models[1].session);
  for (const Item& item : task.items) {
    const auto score = scorer.score(task, item);
    ASSERT_TRUE(score);
    const auto& ll = score->log_likelihoods;
    right += chosen(ll, {}) == item.answer ? 1U : 0U;
    right_norm += chosen(ll, item.lengths) == item.answer ? 1U : 0U;
  }
  ASSERT_NE(right, right_norm) << "the items do not tell acc from acc_norm: choose others";
  Journal none;
  const auto results = results_of(models, task, none);
  ASSERT_EQ(results.size(), 2);
  EXPECT_DOUBLE_EQ(results[1].acc.value, static_cast<double>(right) / 12);
  EXPECT_DOUBLE_EQ(results[1].acc_norm->value, static_cast<double>(right_norm) / 12);
  // The sample standard error of n zeros and ones is sqrt(p (1 - p) / (n - 1)).
  const double p = results[1].acc.value;
  EXPECT_NEAR(results[1].acc.error, std::sqrt(p * (1 - p) / 11), 1e-12);
  EXPECT_EQ(results[1].items, 12);
  EXPECT_EQ(results[1].shots, 1);
  EXPECT_DOUBLE_EQ(results[1].chance, 1.0 / 3);
  EXPECT_FALSE(results[1].perplexity);
}

TEST(RunTask, OthersAreComparedWithTheBaseline) {
  auto models = two_models();
  const Task task = twelve_items();
  Journal none;
  const auto results = results_of(models, task, none);
  EXPECT_FALSE(results[0].acc_test);
  ASSERT_TRUE(results[1].acc_test);
  ASSERT_TRUE(results[1].acc_norm_test);
  const PairedTest& test = *results[1].acc_test;
  const double gained = static_cast<double>(test.only_model) - static_cast<double>(test.only_baseline);
  EXPECT_NEAR(results[1].acc.value - results[0].acc.value, gained / 12, 1e-12);
  models[0].is_baseline = false;
  EXPECT_FALSE(results_of(models, task, none)[1].acc_test);
}

TEST(RunTask, AnInterruptedRunGoesOnToTheSameNumbers) {
  auto models = two_models();
  const Task task = twelve_items();
  Journal none;
  const auto whole = numbers(results_of(models, task, none));

  const TempDir directory;
  const std::string path = directory.file("journal");
  std::size_t last = 0;
  {
    auto journal = Journal::open(path, false);
    ASSERT_TRUE(journal);
    const auto stopped =
        run_task(models, task,
                 {.journal = *journal,
                  .pool = testing::test_pool(),
                  .progress = [&](std::size_t done, std::size_t, const std::string&) { last = done; },
                  .cancelled = [&] { return last == 16; }});
    ASSERT_FALSE(stopped);
    EXPECT_EQ(stopped.error().message, "interrupted");
    EXPECT_EQ(journal->size(), 17);
  }
  auto journal = Journal::open(path, true);
  ASSERT_TRUE(journal);
  EXPECT_EQ(numbers(results_of(models, task, *journal)), whole);
  EXPECT_EQ(journal->size(), 24);
  // With everything in the journal no model reads a token, and the numbers are still the same.
  EXPECT_EQ(numbers(results_of(models, task, *journal)), whole);
  EXPECT_EQ(models[0].session->position(), 0);
  EXPECT_EQ(models[1].session->position(), 0);
}

TEST(RunTask, WhatAnotherWeightOrExampleGaveIsNotTaken) {
  auto models = two_models();
  Task task = twelve_items();
  const TempDir directory;
  auto journal = Journal::open(directory.file("journal"), false);
  ASSERT_TRUE(journal);
  results_of(std::span(models).first(1), task, *journal);
  EXPECT_EQ(journal->size(), 12);
  models[0].checksum = "cc";
  results_of(std::span(models).first(1), task, *journal);
  EXPECT_EQ(journal->size(), 24);
  for (std::string& prefix : task.prefixes) prefix = "x" + prefix;
  results_of(std::span(models).first(1), task, *journal);
  EXPECT_EQ(journal->size(), 36);
}

TEST(RunTask, LambadaHasAPerplexity) {
  const TempDir directory;
  directory.write("rows.jsonl",
                  "{\"text\": \"one two\"}\n{\"text\": \"three four\"}\n{\"text\": \"five six seven\"}\n");
  const auto task = load_task({.file = directory.file("rows.jsonl")});
  ASSERT_TRUE(task);
  auto models = two_models();
  double sum = 0;
  Scorer scorer(*models[0].session);
  for (const Item& item : task->items) sum += scorer.score(*task, item)->log_likelihoods.front();
  Journal none;
  const auto results = results_of(models, *task, none);
  ASSERT_TRUE(results[0].perplexity);
  EXPECT_DOUBLE_EQ(results[0].perplexity->value, std::exp(-sum / 3));
  EXPECT_GT(results[0].perplexity->error, 0);
  EXPECT_FALSE(results[0].acc_norm);
  EXPECT_EQ(results[0].chance, 0);
}

TEST(RunTask, CutContextsAreCounted) {
  const TempDir directory;
  const std::string text(70, 'a');
  directory.write("rows.jsonl", "{\"text\": \"" + text + " b\"}\n{\"text\": \"a b\"}\n");
  const auto task = load_task({.file = directory.file("rows.jsonl")});
  ASSERT_TRUE(task);
  auto models = two_models();
  Journal none;
  EXPECT_THAT(results_of(models, *task, none)[0].truncated, 1);
}

// One answer of 100 tokens and a context of 64.
TEST(RunTask, ItemsThatDoNotFitAreLeftOut) {
  const TempDir directory;
  const std::string fits = R"({"context": "a", "choices": ["b", "c", "d"], "answer": 1})";
  const std::string long_answer =
      R"({"context": "a", "choices": [")" + std::string(100, 'b') + R"(", "c"], "answer": 1})";
  directory.write("rows.jsonl", long_answer + "\n" + fits + "\n" + long_answer + "\n" + fits + "\n");
  directory.write("long.jsonl", long_answer + "\n");
  const auto task = load_task({.file = directory.file("rows.jsonl")});
  ASSERT_TRUE(task);
  auto models = two_models();
  Journal none;
  const auto results = results_of(models, *task, none);
  for (const TaskResult& result : results) {
    EXPECT_EQ(result.items, 2U);
    EXPECT_EQ(result.left_out, 2U);
    EXPECT_DOUBLE_EQ(result.chance, 1.0 / 3);
  }
  const auto all_long = load_task({.file = directory.file("long.jsonl")});
  ASSERT_TRUE(all_long);
  EXPECT_THAT(run_task(models, *all_long, quiet(none)).error().message,
              ::testing::HasSubstr("long: every item has an answer that is longer than a model's context"));
}

}  // namespace
}  // namespace sterna::eval
