// Perplexity of a text by the protocol of fixed windows: the tokens are cut into windows of `window` tokens
// (a shorter rest is left out), each is scored from an empty context, tokens 2..window of each count.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "runtime/session.h"

namespace sterna::runtime {

struct Perplexity {
  std::size_t tokens = 0;
  std::size_t scored_tokens = 0;
  std::vector<double> nll_per_window;  // sums of -ln p, nats
  double perplexity = 0;               // exp(sum of all / scored_tokens)
};

// first_token: replaces the first token of every window (BOS) if given. progress(window, windows) before each
// window.
Result<Perplexity> perplexity(Session& session, std::span<const TokenId> tokens, std::size_t window,
                              std::optional<TokenId> first_token,
                              const std::function<void(std::size_t, std::size_t)>& progress = nullptr);

// -ln softmax(logits)[target] in double.
double negative_log_likelihood(std::span<const float> logits, TokenId target);

}  // namespace sterna::runtime
