// How likely a model finds the continuations of an item: log-likelihoods as lm-evaluation-harness' Hugging
// Face backend computes them by default.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "eval/tasks/task.h"
#include "runtime/result.h"
#include "runtime/session.h"

namespace sterna::eval {

// Tokens that are read, and those that are to be foreseen: target[i] by the logits after
// input[input.size() - target.size() + i]. The last target is not in `input`.
struct Request {
  std::vector<runtime::TokenId> input;
  std::vector<runtime::TokenId> target;  // at least one, at most as many as input
  bool truncated = false;
};

// lm-eval's _encode_pair and what it does around it:
//   * white space at the end of the context goes to the continuation;
//   * context + continuation are encoded together, and what follows the first n tokens is the continuation, n
//     being how many tokens the context alone has;
//   * with the tokenizer's own frame (BOS where its post-processor adds one), unless the text begins with the
//     BOS token's text; special tokens spelled out in the text become those tokens;
//   * an empty context is one token, BOS, or EOS without one; the continuation is then encoded without frame;
//   * of more than context + 1 tokens the last context + 1 are kept.
// Errors: a continuation that adds no token, or more than `context` of them.
Result<Request> encode_request(const runtime::Model& model, std::string_view context,
                               std::string_view continuation, std::size_t context_size);

// How many tokens the continuation has, as encode_request() splits them.
Result<std::size_t> continuation_tokens(const runtime::Model& model, std::string_view context,
                                        std::string_view continuation);

// One number for each of an item's continuations.
struct ItemScore {
  std::vector<double> log_likelihoods;  // nats, sums over tokens
  std::vector<std::uint8_t> greedy;     // 1: every token of it was the most likely one
  bool truncated = false;               // a context was cut at its beginning
};

// Scores items, one after the other, in a session that nobody else uses meanwhile. What the choices of an
// item have in common is computed once, and so is the prefix (description and examples) that items share. The
// numbers of an item depend on the item and the prefix, not on the items before it.
class Scorer {
 public:
  explicit Scorer(runtime::Session& session) : session_(session) { session_.rewind(0); }

  Result<ItemScore> score(const Task& task, const Item& item);

 private:
  Result<std::vector<Request>> requests_of(const Task& task, const Item& item);
  Status enter_prefix(const std::string& prefix);
  Status go_to(std::span<const runtime::TokenId> ids);
  Status score_equal(std::span<const Request> requests, std::size_t first, std::size_t shared,
                     ItemScore& score);

  runtime::Session& session_;
  std::string prefix_text_;
  std::vector<runtime::TokenId> prefix_;  // its tokens, if they leave room in the context
  std::size_t held_ = 0;                  // so many of them are in the session
};

}  // namespace sterna::eval
