// Which models of a report may be compared by what, and by how much they differ.
//
// Perplexities are per token, so they compare only within one tokenizer; bits per byte compare everywhere.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "eval/results.h"

namespace sterna::eval::report {

// Half the width of a 95 % interval in standard errors.
constexpr double kInterval = 1.96;

// A paired test shows a difference below this probability.
constexpr double kShown = 0.05;

bool one_tokenizer(const Report& report);

const TextResult* find_text(const ModelResult& model, const std::string& name);
const TaskResult* find_task(const ModelResult& model, const std::string& name);

// Names in the order of their first mention.
std::vector<std::string> text_names(const Report& report);
std::vector<std::string> task_names(const Report& report);

// The accuracy to show of a task: by the length of the choices where there is one, and the test of the same.
const Estimate& accuracy(const TaskResult& task);
const std::optional<PairedTest>& accuracy_test(const TaskResult& task);

// Mean accuracy over the tasks that every model has; the error takes tasks as independent. None without such.
std::optional<Estimate> mean_accuracy(const Report& report, const ModelResult& model);

// exp of the paired change, the error by its derivative.
Estimate perplexity_ratio(const Divergence& divergence);

// The model's loss against the baseline on one text, in nats per token of the baseline; exp of it is a ratio
// of perplexities. Paired where there is a divergence. Else from the bits per byte, times ln 2 and the bytes
// of the baseline's tokens: right for different tokenizers, and its error takes the two as independent, which
// is too large for models of the same text.
std::optional<Estimate> loss_change(const ModelResult& baseline, const ModelResult& model,
                                    const std::string& text);

// Mean bits per byte over the texts that every model has; none without such. What is not finite is infinity.
std::optional<Estimate> bits_per_byte(const Report& report, const ModelResult& model);

// a minus b, in nats per token by way of the baseline where both are paired with it on every common text
// (then the texts' sampling cancels), else in bits per byte. Positive: a is worse. None without common texts.
std::optional<Estimate> quality_gap(const Report& report, const ModelResult& a, const ModelResult& b);

// Whether an estimate differs from zero by more than its 95 % interval.
bool is_shown(const Estimate& difference);

// For each model, the index of one that is no larger and predicts no worse by the estimates, and better in
// one of the two; none for a model of the Pareto set, and for a model without a size or a text. Of several
// the one with the lowest bits per byte.
std::vector<std::optional<std::size_t>> dominated_by(const Report& report);

}  // namespace sterna::eval::report
