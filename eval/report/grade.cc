#include "eval/report/grade.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "eval/report/comparison.h"
#include "eval/report/text.h"

namespace sterna::eval::report {
namespace {

Grade by_loss(const Estimate& change) {
  if (!std::isfinite(change.value) || !std::isfinite(change.error)) return Grade::kUnusable;
  const double low = change.value - kInterval * change.error;
  const double high = change.value + kInterval * change.error;
  if (high <= std::log(kEqualRatio)) {
    return change.value < -std::log(kEqualRatio) && high < 0 ? Grade::kDifferent : Grade::kEqual;
  }
  if (low <= 0) return Grade::kUnclear;
  if (change.value <= std::log(kSlightRatio)) return Grade::kSlightlyWorse;
  return change.value <= std::log(kUsableRatio) ? Grade::kClearlyWorse : Grade::kUnusable;
}

Grade by_choice(double top1) {
  if (top1 >= kEqualTop1) return Grade::kEqual;
  if (top1 >= kSlightTop1) return Grade::kSlightlyWorse;
  return top1 >= kUsableTop1 ? Grade::kClearlyWorse : Grade::kUnusable;
}

Grade by_text(const Estimate& change, const std::optional<Divergence>& divergence) {
  const Grade loss = by_loss(change);
  if (!divergence) return loss;
  const Grade choice = by_choice(divergence->top1.value);
  if (loss == Grade::kEqual) return choice == Grade::kEqual ? Grade::kEqual : Grade::kDifferent;
  return loss > Grade::kUnclear ? std::max(loss, choice) : loss;
}

struct WorstText {
  const TextResult* text = nullptr;
  Estimate change;
  Grade grade = Grade::kNone;
};

WorstText worst_text(const ModelResult& baseline, const ModelResult& model) {
  WorstText worst;
  for (const TextResult& text : model.texts) {
    const auto change = loss_change(baseline, model, text.text);
    if (!change) continue;
    const Grade grade = by_text(*change, text.divergence);
    const bool is_worse = worst.text == nullptr || grade > worst.grade ||
                          (grade == worst.grade && change->value > worst.change.value);
    if (is_worse) worst = {&text, *change, grade};
  }
  return worst;
}

void add_text_facts(const ModelResult& baseline, const ModelResult& model, const WorstText& worst,
                    std::vector<std::string>& facts) {
  const std::string where = model.texts.size() > 1 ? fmt::format(" on {} (its worst of {} texts)",
                                                                 worst.text->text, model.texts.size())
                                                   : std::string();
  if (!std::isfinite(worst.change.value)) {
    facts.push_back(fmt::format("no finite probability for the text{}", where));
  } else if (worst.text->divergence) {
    facts.push_back(
        fmt::format("perplexity ratio {}{}", number(perplexity_ratio(*worst.text->divergence)), where));
    facts.push_back(fmt::format("top-1 agreement {}", percent(worst.text->divergence->top1.value)));
  } else {
    const TextResult* theirs = find_text(baseline, worst.text->text);
    facts.push_back(fmt::format("{} bits per byte against {}{}", number(worst.text->bits_per_byte),
                                number(theirs->bits_per_byte), where));
  }
  if (model.tokenizer != baseline.tokenizer) {
    facts.emplace_back("another tokenizer, so perplexities are not comparable");
  }
}

struct TaskDrop {
  const TaskResult* task;
  const PairedTest* test;
};

// Holm: the k-th smallest of n probabilities is multiplied by n - k + 1; the first that fails ends it.
std::vector<TaskDrop> shown_changes(const ModelResult& model) {
  std::vector<TaskDrop> tests;
  for (const TaskResult& task : model.tasks) {
    if (const auto& test = accuracy_test(task)) tests.push_back({&task, &*test});
  }
  std::stable_sort(tests.begin(), tests.end(),
                   [](const TaskDrop& a, const TaskDrop& b) { return a.test->p_value < b.test->p_value; });
  std::size_t shown = 0;
  while (shown < tests.size() &&
         tests[shown].test->p_value * static_cast<double>(tests.size() - shown) < kShown) {
    ++shown;
  }
  tests.resize(shown);
  return tests;
}

bool has_tests(const ModelResult& model) {
  return std::any_of(model.tasks.begin(), model.tasks.end(),
                     [](const TaskResult& task) { return accuracy_test(task).has_value(); });
}

// "worse in 3 of 5 tasks (most in arc_easy: 2.4 ± 0.9 points, p = 0.008)"
void add_task_fact(const std::vector<TaskDrop>& changes, std::string_view word, double sign,
                   std::size_t tasks, std::vector<std::string>& facts) {
  const TaskDrop* most = nullptr;
  std::size_t count = 0;
  for (const TaskDrop& change : changes) {
    const double value = sign * change.test->difference.value;
    if (value <= 0) continue;
    ++count;
    if (most == nullptr || value > sign * most->test->difference.value) most = &change;
  }
  if (most == nullptr) return;
  const Estimate points{std::abs(100 * most->test->difference.value), 100 * most->test->difference.error};
  facts.push_back(fmt::format("{} in {} of {} tasks ({}{}: {} points, {})", word, count, tasks,
                              count > 1 ? "most in " : "", most->task->task, number(points),
                              p_value(most->test->p_value)));
}

Grade by_tasks(const ModelResult& model, std::vector<std::string>& facts) {
  if (!has_tests(model)) return Grade::kNone;
  Grade grade = Grade::kUnclear;
  const std::vector<TaskDrop> changes = shown_changes(model);
  for (const TaskDrop& change : changes) {
    const double drop = -change.test->difference.value;
    if (drop <= 0) continue;
    grade = std::max(grade, drop >= kClearDrop ? Grade::kClearlyWorse : Grade::kSlightlyWorse);
  }
  add_task_fact(changes, "worse", -1, model.tasks.size(), facts);
  add_task_fact(changes, "better", 1, model.tasks.size(), facts);
  if (changes.empty()) facts.emplace_back("no difference shown in any task");
  return grade;
}

// A share of few answers with the error of Agresti and Coull (1998), which is not zero for 0 of 10.
Estimate share_of(const GenerationResult& generation) {
  const auto n = static_cast<double>(generation.answers.size());
  const double share = (generation.looping.value * n + 2) / (n + 4);
  return {generation.looping.value, std::sqrt(share * (1 - share) / (n + 4))};
}

bool loops_more(const ModelResult& baseline, const ModelResult& model, std::vector<std::string>& facts) {
  bool more = false;
  for (const GenerationResult& ours : model.generations) {
    const auto theirs = std::find_if(baseline.generations.begin(), baseline.generations.end(),
                                     [&](const GenerationResult& g) { return g.name == ours.name; });
    if (theirs == baseline.generations.end() || ours.answers.empty() || theirs->answers.empty()) continue;
    const Estimate a = share_of(ours);
    const Estimate b = share_of(*theirs);
    const Estimate change{a.value - b.value, std::hypot(a.error, b.error)};
    if (change.value < kClearLooping || !is_shown(change)) continue;
    facts.push_back(fmt::format("loops in {} of its {} answers (baseline {})", percent(a.value), ours.name,
                                percent(b.value)));
    more = true;
  }
  return more;
}

void add_speed_fact(const ModelResult& baseline, const ModelResult& model, std::vector<std::string>& facts) {
  if (!baseline.cost || !model.cost) return;
  const Estimate& ours = model.cost->decode;
  const Estimate& theirs = baseline.cost->decode;
  if (!(ours.value > 0) || !(theirs.value > 0)) return;
  if (!is_shown({ours.value - theirs.value, std::hypot(ours.error, theirs.error)})) return;
  const double factor = ours.value / theirs.value;
  if (std::max(factor, 1 / factor) < 1.05) return;
  facts.push_back(
      fmt::format("decodes {:.1f}x {}", std::max(factor, 1 / factor), factor > 1 ? "faster" : "slower"));
}

}  // namespace

std::string_view grade_name(Grade grade) {
  switch (grade) {
    case Grade::kBaseline:
      return "baseline";
    case Grade::kEqual:
      return "practically equal";
    case Grade::kDifferent:
      return "no worse, but different";
    case Grade::kUnclear:
      return "not distinguishable";
    case Grade::kSlightlyWorse:
      return "slightly worse";
    case Grade::kClearlyWorse:
      return "clearly worse";
    case Grade::kUnusable:
      return "unusable";
    case Grade::kNone:
      break;
  }
  return "not compared";
}

bool is_acceptable(Grade grade) { return grade < Grade::kClearlyWorse; }

std::string size_words(const ModelResult& baseline, const ModelResult& model) {
  if (!baseline.cost || !model.cost || baseline.cost->file_bytes == 0 || model.cost->file_bytes == 0) {
    return {};
  }
  const double factor =
      static_cast<double>(baseline.cost->file_bytes) / static_cast<double>(model.cost->file_bytes);
  if (std::max(factor, 1 / factor) < 1.05) return "of the same size";
  return fmt::format("{:.1f}x {}", std::max(factor, 1 / factor), factor > 1 ? "smaller" : "larger");
}

Judgement judge_model(const ModelResult& baseline, const ModelResult& model) {
  Judgement judgement;
  std::vector<std::string>& facts = judgement.facts;
  const WorstText worst = worst_text(baseline, model);
  if (worst.text != nullptr) add_text_facts(baseline, model, worst, facts);
  if (std::string size = size_words(baseline, model); !size.empty()) facts.push_back(std::move(size));
  add_speed_fact(baseline, model, facts);
  const Grade tasks = by_tasks(model, facts);
  judgement.grade = worst.text == nullptr ? tasks : worst.grade;
  if (tasks != Grade::kNone && tasks > Grade::kUnclear) judgement.grade = std::max(judgement.grade, tasks);
  if (loops_more(baseline, model, facts)) {
    const Grade before = judgement.grade == Grade::kNone ? Grade::kClearlyWorse : judgement.grade;
    judgement.grade = std::max(before, Grade::kClearlyWorse);
  }
  return judgement;
}

}  // namespace sterna::eval::report
