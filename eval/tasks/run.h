// Runs a task: every model answers every item.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "eval/contestant.h"
#include "eval/results.h"
#include "eval/tasks/score.h"
#include "eval/tasks/task.h"
#include "runtime/result.h"

namespace sterna::eval {

// One result for each model, in their order.
//
// acc: share of items whose right choice has the highest log-likelihood (the first of equal ones counts);
// with a target: share of items whose every target token is the most likely one. acc_norm: the same of
// log-likelihood / characters of the choice. Standard errors as mean_of(); perplexity of a target is
// exp(-mean log-likelihood) per target, its error by the delta method (lm-eval's is a bootstrap).
//
// Where the first model is the baseline, the others' acc_test and acc_norm_test compare with it. A model that
// answered an item already (journal) does not do so again; a unit of the journal is named after the weights,
// the context's length, task, format, shots and all texts of the item. An item with an answer that is longer
// than the context of one of the models is left out for all (left_out). Errors: "interrupted", no item that
// fits, a journal that cannot be written.
Result<std::vector<TaskResult>> run_task(std::span<Contestant> models, const Task& task,
                                         const Surroundings& surroundings);

// The index of the choice that a score stands for; lengths: for acc_norm, empty for acc.
std::size_t chosen(std::span<const double> log_likelihoods, std::span<const std::size_t> lengths);

}  // namespace sterna::eval
