// The rules of the words, each at its border.
#include "eval/report/verdict.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "eval/report/comparison.h"
#include "tests/eval_report/sample.h"

namespace sterna::eval::report {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

// A model of `mebibytes` whose loss is that of the baseline plus `change`.
ModelResult model(const std::string& name, std::uint64_t mebibytes, Estimate change, double top1 = 0.98) {
  ModelResult m;
  m.name = name;
  m.tokenizer = "shared";
  m.cost = Cost{};
  m.cost->file_bytes = mebibytes << 20U;
  m.texts = {testing::sample_text("text", 2.5, change.value, /*is_baseline=*/false)};
  m.texts[0].divergence->nll_change = change;
  m.texts[0].divergence->top1 = {top1, 0.002};
  return m;
}

ModelResult baseline(std::uint64_t mebibytes = 1000) {
  ModelResult m = model("base", mebibytes, {0, 0});
  m.texts[0].divergence.reset();
  m.is_baseline = true;
  return m;
}

Report report_of(std::vector<ModelResult> models) {
  Report report;
  report.models = std::move(models);
  return report;
}

Grade grade_of(Estimate change, double top1 = 0.98) {
  return judge(report_of({baseline(), model("m", 500, change, top1)})).models[1].grade;
}

TEST(Grade, EqualMustBeShown) {
  // ln 1.02 is 0.0198; 0.004 + 1.96 * 0.002 is below, 0.004 + 1.96 * 0.01 above.
  EXPECT_EQ(grade_of({0.004, 0.002}), Grade::kEqual);
  EXPECT_EQ(grade_of({0.004, 0.01}), Grade::kUnclear);
  EXPECT_EQ(grade_of({0.019, 0.004}), Grade::kSlightlyWorse);
}

TEST(Grade, FollowsTheRatioOfThePerplexities) {
  EXPECT_EQ(grade_of({std::log(1.09), 0.002}), Grade::kSlightlyWorse);
  EXPECT_EQ(grade_of({std::log(1.11), 0.002}), Grade::kClearlyWorse);
  EXPECT_EQ(grade_of({std::log(1.99), 0.002}), Grade::kClearlyWorse);
  EXPECT_EQ(grade_of({std::log(2.01), 0.002}), Grade::kUnusable);
  EXPECT_EQ(grade_of({std::nan(""), 0}), Grade::kUnusable);
}

TEST(Grade, AnotherChoiceOfTokensIsNotTheSameModel) {
  EXPECT_EQ(grade_of({0.001, 0.001}, 0.94), Grade::kDifferent);
  EXPECT_EQ(grade_of({std::log(1.05), 0.002}, 0.84), Grade::kClearlyWorse);
  EXPECT_EQ(grade_of({std::log(1.05), 0.002}, 0.45), Grade::kUnusable);
  // Another and better model is no worse for choosing other tokens.
  EXPECT_EQ(grade_of({-0.2, 0.01}, 0.6), Grade::kDifferent);
}

TEST(Grade, TheWorstTextDecides) {
  ModelResult two = model("m", 500, {0.001, 0.001});
  two.texts.push_back(testing::sample_text("ja", 2.9, 0.3, false));
  two.texts[1].divergence->nll_change = {0.3, 0.01};
  const Verdict verdict = judge(report_of({baseline(), two}));
  EXPECT_EQ(verdict.models[1].grade, Grade::kClearlyWorse);
  EXPECT_THAT(verdict.models[1].text, HasSubstr("on ja (its worst of 2 texts)"));
}

TaskResult task_with(double difference, double p) {
  TaskResult task;
  task.task = "arc";
  task.items = 100;
  task.acc = {0.5, 0.05};
  task.acc_test = PairedTest{10, 2, {difference, 0.01}, p};
  return task;
}

TEST(Grade, AShownDropInATaskCounts) {
  ModelResult m = model("m", 500, {0.001, 0.001});
  m.tasks = {task_with(-0.04, 0.01)};
  EXPECT_EQ(judge(report_of({baseline(), m})).models[1].grade, Grade::kSlightlyWorse);
  m.tasks = {task_with(-0.12, 0.01)};
  EXPECT_EQ(judge(report_of({baseline(), m})).models[1].grade, Grade::kClearlyWorse);
  m.tasks = {task_with(-0.04, 0.06)};
  const Verdict not_shown = judge(report_of({baseline(), m}));
  EXPECT_EQ(not_shown.models[1].grade, Grade::kEqual);
  EXPECT_THAT(not_shown.models[1].text, HasSubstr("no difference shown in any task"));
}

// One of ten tasks at p = 0.02 is what chance gives: Holm asks for 0.005.
TEST(Grade, ManyTasksDoNotMakeADifferenceByChance) {
  ModelResult m = model("m", 500, {0.001, 0.001});
  m.tasks.assign(10, task_with(-0.01, 0.6));
  m.tasks[3] = task_with(-0.04, 0.02);
  EXPECT_EQ(judge(report_of({baseline(), m})).models[1].grade, Grade::kEqual);
  m.tasks[3] = task_with(-0.04, 0.004);
  EXPECT_EQ(judge(report_of({baseline(), m})).models[1].grade, Grade::kSlightlyWorse);
}

TEST(Grade, TasksAloneShowADropButNeverEquality) {
  ModelResult base = baseline();
  ModelResult m = model("m", 500, {0, 0});
  base.texts.clear();
  m.texts.clear();
  m.tasks = {task_with(-0.01, 0.5)};
  EXPECT_EQ(judge(report_of({base, m})).models[1].grade, Grade::kUnclear);
  m.tasks.clear();
  EXPECT_EQ(judge(report_of({base, m})).models[1].grade, Grade::kNone);
}

GenerationResult looping(double share, std::size_t answers) {
  GenerationResult g;
  g.name = "greedy";
  g.looping.value = share;
  g.answers.resize(answers);
  return g;
}

TEST(Grade, LoopingMustBeShownByEnoughAnswers) {
  ModelResult base = baseline();
  ModelResult m = model("m", 500, {0.001, 0.001});
  base.generations = {looping(0, 4)};
  m.generations = {looping(0.25, 4)};  // 1 of 4
  EXPECT_EQ(judge(report_of({base, m})).models[1].grade, Grade::kEqual);
  base.generations = {looping(0, 40)};
  m.generations = {looping(0.25, 40)};
  EXPECT_EQ(judge(report_of({base, m})).models[1].grade, Grade::kClearlyWorse);
}

TEST(Verdict, TakesTheSmallestAcceptableAndNamesTheOneWithoutLoss) {
  const Verdict verdict =
      judge(report_of({baseline(), model("equal", 400, {0.002, 0.001}),
                       model("slight", 200, {0.06, 0.002}, 0.9), model("bad", 100, {0.5, 0.002}, 0.6)}));
  EXPECT_EQ(verdict.headline, "Take slight: slightly worse than base, 5.0x smaller");
  EXPECT_TRUE(verdict.models[2].recommended);
  EXPECT_THAT(verdict.paragraph,
              HasSubstr("If nothing may be lost, take equal: practically equal and 2.5x smaller"));
  EXPECT_THAT(verdict.paragraph, HasSubstr("bad is clearly worse"));
}

TEST(Verdict, StaysWithTheBaselineWhenWhatIsSmallerIsBad) {
  const Verdict verdict = judge(report_of({baseline(), model("bad", 100, {0.5, 0.002})}));
  EXPECT_EQ(verdict.headline, "Stay with base");
  EXPECT_TRUE(verdict.models[0].recommended);
  EXPECT_FALSE(verdict.models[1].recommended);
}

TEST(Verdict, WithinTheErrorsNobodyWins) {
  // 0.005 apart, and the error of the difference is 0.0042.
  Verdict verdict =
      judge(report_of({baseline(), model("a", 400, {0.001, 0.003}), model("b", 400, {0.006, 0.003})}));
  EXPECT_THAT(verdict.headline, HasSubstr("Take a or b"));
  EXPECT_THAT(verdict.paragraph, HasSubstr("no winner"));
  verdict = judge(report_of({baseline(), model("a", 400, {0.001, 0.001}), model("b", 400, {0.006, 0.001})}));
  EXPECT_THAT(verdict.headline, HasSubstr("Take a:"));
}

TEST(Verdict, WithoutABaselineTheFewestBitsPerByteWinIfItIsShown) {
  std::vector<ModelResult> models = {model("a", 400, {0, 0}), model("b", 300, {0, 0})};
  for (ModelResult& m : models) m.texts[0].divergence.reset();
  models[0].texts[0].bits_per_byte = {0.80, 0.01};
  models[1].texts[0].bits_per_byte = {0.82, 0.01};
  Verdict verdict = judge(report_of(models));
  EXPECT_THAT(verdict.headline, HasSubstr("No winner"));
  EXPECT_THAT(verdict.paragraph, HasSubstr("The smallest of them is b"));
  models[1].texts[0].bits_per_byte = {0.84, 0.01};
  verdict = judge(report_of(models));
  EXPECT_EQ(verdict.headline, "Take a: fewest bits per byte (0.800 ± 0.010)");
  EXPECT_THAT(verdict.paragraph, HasSubstr("a and b"));
}

TEST(Verdict, AcrossTokenizersThereAreNoPerplexities) {
  ModelResult other = model("other", 300, {0, 0});
  other.tokenizer = "another";
  other.texts[0].divergence.reset();
  ModelResult base = baseline();
  base.texts[0].bits_per_byte = {0.800, 0.0005};
  other.texts[0].bits_per_byte = {0.830, 0.0005};
  const Verdict verdict = judge(report_of({base, other}));
  EXPECT_THAT(verdict.models[1].text, Not(HasSubstr("erplexity ")));
  EXPECT_THAT(verdict.models[1].text, HasSubstr("0.8300 ± 0.0005 bits per byte against 0.8000 ± 0.0005"));
  EXPECT_THAT(verdict.paragraph, HasSubstr("not comparable"));
  // 0.03 bits of 4.3 bytes a token are 0.09 nats: a ratio of 1.09.
  EXPECT_EQ(verdict.models[1].grade, Grade::kSlightlyWorse);
}

TEST(Verdict, OneModelAndNone) {
  EXPECT_EQ(judge(Report{}).headline, "No model was measured");
  EXPECT_THAT(judge(report_of({model("a", 400, {0, 0})})).paragraph, HasSubstr("nothing to choose between"));
}

TEST(Pareto, ADominatedModelNamesTheOneThatDominatesIt) {
  const Report report =
      report_of({baseline(), model("good", 400, {0.002, 0.0005}), model("worse", 500, {0.05, 0.0005}),
                 model("same", 450, {0.0021, 0.0005}), model("small", 100, {0.9, 0.01})});
  const Verdict verdict = judge(report);
  std::vector<std::string> pareto;
  for (const ModelVerdict& line : verdict.models) {
    if (line.pareto) pareto.push_back(line.name);
  }
  EXPECT_THAT(pareto, ElementsAre("base", "good", "small"));
  EXPECT_EQ(verdict.models[2].dominated_by, "good");
  EXPECT_THAT(verdict.models[2].text, HasSubstr("Larger and predicts worse than good."));
  EXPECT_THAT(verdict.models[3].text, HasSubstr("Larger than good and not shown to predict better."));
}

TEST(Pareto, NeedsASizeAndAText) {
  Report report = report_of({baseline(), model("a", 400, {0.002, 0.0005})});
  report.models[1].cost.reset();
  EXPECT_EQ(dominated_by(report)[0], std::nullopt);
  EXPECT_EQ(dominated_by(report)[1], std::nullopt);
  EXPECT_FALSE(judge(report).models[1].pareto);
}

}  // namespace
}  // namespace sterna::eval::report
