#include "eval/report/comparison.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

namespace sterna::eval::report {
namespace {

template <class Entry>
std::vector<std::string> names_of(const Report& report, std::vector<Entry> ModelResult::*list,
                                  std::string Entry::*name) {
  std::vector<std::string> names;
  for (const ModelResult& model : report.models) {
    for (const Entry& entry : model.*list) {
      if (std::find(names.begin(), names.end(), entry.*name) == names.end()) names.push_back(entry.*name);
    }
  }
  return names;
}

template <class Find>
std::vector<std::string> common(const Report& report, std::vector<std::string> names, const Find& find) {
  std::erase_if(names, [&](const std::string& name) {
    return !std::all_of(report.models.begin(), report.models.end(),
                        [&](const ModelResult& model) { return find(model, name) != nullptr; });
  });
  return names;
}

std::vector<std::string> common_texts(const Report& report) {
  return common(report, text_names(report), find_text);
}

Estimate mean(const std::vector<Estimate>& values) {
  Estimate sum;
  for (const Estimate& e : values) {
    sum.value += e.value;
    sum.error += e.error * e.error;
  }
  const auto n = static_cast<double>(values.size());
  return {sum.value / n, std::sqrt(sum.error) / n};
}

// The mean loss over the common texts, paired with the baseline; none where a text is not paired.
std::optional<Estimate> paired_loss(const Report& report, const ModelResult& model) {
  if (model.is_baseline) return Estimate{};
  std::vector<Estimate> changes;
  for (const std::string& name : common_texts(report)) {
    const TextResult* text = find_text(model, name);
    if (!text->divergence || !std::isfinite(text->divergence->nll_change.value)) return std::nullopt;
    changes.push_back(text->divergence->nll_change);
  }
  if (changes.empty()) return std::nullopt;
  return mean(changes);
}

Estimate difference(const Estimate& a, const Estimate& b) {
  return {a.value - b.value, std::hypot(a.error, b.error)};
}

}  // namespace

bool one_tokenizer(const Report& report) {
  return std::all_of(report.models.begin(), report.models.end(), [&](const ModelResult& model) {
    return model.tokenizer == report.models.front().tokenizer;
  });
}

const TextResult* find_text(const ModelResult& model, const std::string& name) {
  const auto found = std::find_if(model.texts.begin(), model.texts.end(),
                                  [&](const TextResult& text) { return text.text == name; });
  return found == model.texts.end() ? nullptr : &*found;
}

const TaskResult* find_task(const ModelResult& model, const std::string& name) {
  const auto found = std::find_if(model.tasks.begin(), model.tasks.end(),
                                  [&](const TaskResult& task) { return task.task == name; });
  return found == model.tasks.end() ? nullptr : &*found;
}

std::vector<std::string> text_names(const Report& report) {
  return names_of(report, &ModelResult::texts, &TextResult::text);
}

std::vector<std::string> task_names(const Report& report) {
  return names_of(report, &ModelResult::tasks, &TaskResult::task);
}

const Estimate& accuracy(const TaskResult& task) { return task.acc_norm ? *task.acc_norm : task.acc; }

const std::optional<PairedTest>& accuracy_test(const TaskResult& task) {
  return task.acc_norm ? task.acc_norm_test : task.acc_test;
}

std::optional<Estimate> mean_accuracy(const Report& report, const ModelResult& model) {
  std::vector<Estimate> values;
  for (const std::string& name : common(report, task_names(report), find_task)) {
    values.push_back(accuracy(*find_task(model, name)));
  }
  if (values.empty()) return std::nullopt;
  return mean(values);
}

Estimate perplexity_ratio(const Divergence& divergence) {
  const double ratio = std::exp(divergence.nll_change.value);
  return {ratio, ratio * divergence.nll_change.error};
}

std::optional<Estimate> loss_change(const ModelResult& baseline, const ModelResult& model,
                                    const std::string& text) {
  const TextResult* ours = find_text(model, text);
  const TextResult* theirs = find_text(baseline, text);
  if (ours == nullptr) return std::nullopt;
  if (ours->divergence) return ours->divergence->nll_change;
  if (theirs == nullptr || theirs->scored_tokens == 0) return std::nullopt;
  const double nats = std::numbers::ln2 * static_cast<double>(theirs->scored_bytes) /
                      static_cast<double>(theirs->scored_tokens);
  const Estimate bits = difference(ours->bits_per_byte, theirs->bits_per_byte);
  return Estimate{nats * bits.value, nats * bits.error};
}

std::optional<Estimate> bits_per_byte(const Report& report, const ModelResult& model) {
  std::vector<Estimate> values;
  for (const std::string& name : common_texts(report))
    values.push_back(find_text(model, name)->bits_per_byte);
  if (values.empty()) return std::nullopt;
  const Estimate result = mean(values);
  if (!std::isfinite(result.value)) return Estimate{std::numeric_limits<double>::infinity(), 0};
  return result;
}

std::optional<Estimate> quality_gap(const Report& report, const ModelResult& a, const ModelResult& b) {
  const auto loss_a = paired_loss(report, a);
  const auto loss_b = paired_loss(report, b);
  if (report.baseline() != nullptr && loss_a && loss_b) return difference(*loss_a, *loss_b);
  const auto bits_a = bits_per_byte(report, a);
  const auto bits_b = bits_per_byte(report, b);
  if (!bits_a || !bits_b) return std::nullopt;
  if (bits_a->value == bits_b->value) return Estimate{0, std::hypot(bits_a->error, bits_b->error)};
  return difference(*bits_a, *bits_b);
}

bool is_shown(const Estimate& difference) {
  return std::abs(difference.value) > kInterval * difference.error;
}

std::vector<std::optional<std::size_t>> dominated_by(const Report& report) {
  std::vector<std::optional<std::size_t>> result(report.models.size());
  std::vector<std::optional<Estimate>> bits;
  bits.reserve(report.models.size());
  for (const ModelResult& model : report.models) bits.push_back(bits_per_byte(report, model));
  for (std::size_t i = 0; i < result.size(); ++i) {
    const ModelResult& model = report.models[i];
    if (!model.cost || !bits[i]) continue;
    for (std::size_t k = 0; k < result.size(); ++k) {
      const ModelResult& other = report.models[k];
      if (k == i || !other.cost || !bits[k]) continue;
      const bool no_worse =
          other.cost->file_bytes <= model.cost->file_bytes && bits[k]->value <= bits[i]->value;
      const bool better = other.cost->file_bytes < model.cost->file_bytes || bits[k]->value < bits[i]->value;
      if (!no_worse || !better) continue;
      if (!result[i] || bits[k]->value < bits[*result[i]]->value) result[i] = k;
    }
  }
  return result;
}

}  // namespace sterna::eval::report
