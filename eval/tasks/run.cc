#include "eval/tasks/run.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

#include "eval/statistics.h"

namespace sterna::eval {
namespace {

using nlohmann::json;

// FNV-1a, 64 bits (http://www.isthe.com/chongo/tech/comp/fnv/): of 15,000 items two have the same value with
// a probability of 6e-12.
class Hash {
 public:
  void add(std::string_view text) {
    for (const char c : text) step(static_cast<std::uint8_t>(c));
    step(0xFF);  // in no UTF-8 text: ("a", "b") is not ("ab", "")
  }
  [[nodiscard]] std::uint64_t value() const { return value_; }

 private:
  void step(std::uint8_t byte) { value_ = (value_ ^ byte) * 0x100000001B3ULL; }
  std::uint64_t value_ = 0xCBF29CE484222325ULL;
};

std::string unit_of(const Contestant& model, const Task& task, const Item& item) {
  Hash hash;
  hash.add(task.prefixes[item.prefix]);
  for (const std::string& context : item.contexts) hash.add(context);
  for (const std::string& continuation : item.continuations) hash.add(continuation);
  return fmt::format("task {} {} shots {} context {} model {} item {:016x}", task.name, task.format,
                     task.shots, model.session->context(), model.checksum, hash.value());
}

json to_json(const ItemScore& score) {
  return {{"ll", score.log_likelihoods}, {"greedy", score.greedy}, {"truncated", score.truncated}};
}

// nullopt for what an edited journal may hold: the item is then done again.
std::optional<ItemScore> from_json(const json* stored, std::size_t requests) {
  if (stored == nullptr || !stored->is_object()) return std::nullopt;
  const auto ll = stored->find("ll");
  const auto greedy = stored->find("greedy");
  const auto truncated = stored->find("truncated");
  if (ll == stored->end() || greedy == stored->end() || truncated == stored->end()) return std::nullopt;
  if (ll->size() != requests || greedy->size() != requests || !truncated->is_boolean()) return std::nullopt;
  ItemScore score;
  for (std::size_t i = 0; i < requests; ++i) {
    const json& value = (*ll)[i];
    const json& flag = (*greedy)[i];
    if (!value.is_number() || !flag.is_number_unsigned()) return std::nullopt;
    score.log_likelihoods.push_back(value.get<double>());
    score.greedy.push_back(flag.get<std::uint8_t>());
  }
  score.truncated = truncated->get<bool>();
  return score;
}

struct Answers {
  std::vector<std::uint8_t> right;
  std::vector<std::uint8_t> right_norm;       // with has_norm
  std::vector<double> target_log_likelihood;  // with greedy_target
  std::size_t truncated = 0;

  void add(const Task& task, const Item& item, const ItemScore& score) {
    truncated += score.truncated ? 1U : 0U;
    if (task.greedy_target) {
      right.push_back(score.greedy.front());
      target_log_likelihood.push_back(score.log_likelihoods.front());
      return;
    }
    right.push_back(chosen(score.log_likelihoods, {}) == item.answer ? 1 : 0);
    if (task.has_norm)
      right_norm.push_back(chosen(score.log_likelihoods, item.lengths) == item.answer ? 1 : 0);
  }
};

Estimate accuracy(std::span<const std::uint8_t> right) {
  const std::vector<double> values(right.begin(), right.end());
  return mean_of(values);
}

TaskResult result_of(const Task& task, const Answers& answers) {
  TaskResult result;
  result.task = task.name;
  result.items = task.items.size();
  result.shots = task.shots;
  result.truncated = answers.truncated;
  result.chance = task.chance;
  result.acc = accuracy(answers.right);
  if (task.has_norm) result.acc_norm = accuracy(answers.right_norm);
  if (task.greedy_target) {
    const Estimate mean = mean_of(answers.target_log_likelihood);
    const double perplexity = std::exp(-mean.value);
    result.perplexity = Estimate{perplexity, perplexity * mean.error};
  }
  return result;
}

Result<Answers> answers_of(Contestant& model, const Task& task, std::size_t done, std::size_t total,
                           const Surroundings& surroundings) {
  Scorer scorer(*model.session);
  Answers answers;
  for (const Item& item : task.items) {
    if (surroundings.stop()) return fail("interrupted");
    surroundings.report(done++, total, task.name);
    const std::string unit = unit_of(model, task, item);
    const std::size_t requests = std::max(item.contexts.size(), item.continuations.size());
    std::optional<ItemScore> score = from_json(surroundings.journal.find(unit), requests);
    if (!score) {
      STERNA_TRY(score, scorer.score(task, item));
      STERNA_CHECK(surroundings.journal.add(unit, to_json(*score)));
    }
    answers.add(task, item, *score);
  }
  return answers;
}

// Has every continuation room in the model's context? A token stands for a byte at least, so few need to be
// encoded.
Result<bool> fits(const Contestant& model, const Task& task, const Item& item) {
  const std::size_t context = model.session->context();
  const std::size_t count = std::max(item.contexts.size(), item.continuations.size());
  for (std::size_t i = 0; i < count; ++i) {
    if (item.continuation(i).size() < context) continue;
    const std::string before = fmt::format("{}{}", task.prefixes[item.prefix], item.context(i));
    STERNA_TRY(const std::size_t tokens, continuation_tokens(model.model(), before, item.continuation(i)));
    if (tokens > context) return false;
  }
  return true;
}

// The task without the items that do not fit into every model's context: all answer the same ones.
Result<Task> fitting(std::span<const Contestant> models, const Task& task) {
  Task kept = task;
  kept.items.clear();
  for (const Item& item : task.items) {
    bool fits_all = true;
    for (const Contestant& model : models) {
      STERNA_TRY(const bool fits_this, fits(model, task, item));
      fits_all = fits_all && fits_this;
    }
    if (fits_all) kept.items.push_back(item);
  }
  if (kept.items.empty())
    return fail("{}: every item has an answer that is longer than a model's context", task.name);
  kept.chance = chance_of(kept);
  return kept;
}

}  // namespace

std::size_t chosen(std::span<const double> log_likelihoods, std::span<const std::size_t> lengths) {
  const auto value = [&](std::size_t i) {
    return lengths.empty() ? log_likelihoods[i] : log_likelihoods[i] / static_cast<double>(lengths[i]);
  };
  std::size_t best = 0;
  for (std::size_t i = 1; i < log_likelihoods.size(); ++i) {
    if (value(i) > value(best)) best = i;
  }
  return best;
}

Result<std::vector<TaskResult>> run_task(std::span<Contestant> models, const Task& whole,
                                         const Surroundings& surroundings) {
  STERNA_TRY(const Task task, fitting(models, whole));
  const std::size_t total = models.size() * task.items.size();
  std::vector<Answers> answers;
  std::vector<TaskResult> results;
  answers.reserve(models.size());
  results.reserve(models.size());
  for (Contestant& model : models) {
    STERNA_TRY(Answers own, answers_of(model, task, results.size() * task.items.size(), total, surroundings));
    answers.push_back(std::move(own));
    results.push_back(result_of(task, answers.back()));
    results.back().left_out = whole.items.size() - task.items.size();
    if (results.size() == 1 || !models.front().is_baseline) continue;
    const Answers& baseline = answers.front();
    results.back().acc_test = paired_test(baseline.right, answers.back().right);
    if (task.has_norm)
      results.back().acc_norm_test = paired_test(baseline.right_norm, answers.back().right_norm);
  }
  surroundings.report(total, total, task.name);
  return results;
}

}  // namespace sterna::eval
