// From rows of logits to a few numbers a token: its negative log-likelihood and, against a baseline, how far
// apart the two distributions are. Rows are reduced as they come and never kept.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <vector>

#include "kernels/registry.h"
#include "runtime/result.h"
#include "runtime/thread_pool.h"
#include "runtime/tokenizer/token_id.h"

namespace sterna::eval {

inline constexpr std::size_t kTop = 5;

// The most likely tokens, most likely first (of equals the lowest id), and the softmax denominator of a row.
struct RowSummary {
  kernels::SoftmaxTotal sums;
  std::array<runtime::TokenId, kTop> top{};  // -1 where the vocabulary ends
};

// Of one model, by scored token. What compares is empty for a baseline, or without one.
struct TokenScores {
  std::vector<double> nll;             // -ln p(token), nats
  std::vector<double> kl;              // KL(baseline || model), nats
  std::vector<std::uint8_t> same_top;  // 1: both have the same most likely token
  std::vector<std::uint8_t> top5;      // how many of the baseline's five are among the model's five

  void append(const TokenScores& other);
};

nlohmann::json to_json(const TokenScores& scores);
// An error when it is not what to_json() makes of `tokens` tokens: the journal was changed.
Result<TokenScores> scores_from_json(const nlohmann::json& json, std::size_t tokens, bool compares);

// logits [targets.size(), vocab], finite; the rows go over the pool's threads.
std::vector<RowSummary> summarize(std::span<const float> logits, std::size_t vocab,
                                  const kernels::Kernels& kernels, runtime::ThreadPool& pool);

// Adds the likelihood of targets[i] under row i.
void add_likelihoods(std::span<const float> logits, std::span<const RowSummary> rows,
                     std::span<const runtime::TokenId> targets, TokenScores& scores);

// Adds whether both find the same token most likely, and how many of the baseline's five the model has.
void add_agreement(const RowSummary& baseline, const RowSummary& model, TokenScores& scores);

// Adds how far the model's rows are from the baseline's, [rows.size(), vocab] both.
void add_divergences(std::span<const float> baseline, std::span<const RowSummary> baseline_rows,
                     std::span<const float> model, std::span<const RowSummary> model_rows,
                     const kernels::Kernels& kernels, runtime::ThreadPool& pool, TokenScores& scores);

}  // namespace sterna::eval
