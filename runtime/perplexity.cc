#include "runtime/perplexity.h"

#include <algorithm>
#include <cmath>

namespace sterna::runtime {

double negative_log_likelihood(std::span<const float> logits, TokenId target) {
  const double top = *std::max_element(logits.begin(), logits.end());
  double sum = 0.0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - top);
  return top + std::log(sum) - static_cast<double>(logits[static_cast<std::size_t>(target)]);
}

Result<Perplexity> perplexity(Session& session, std::span<const TokenId> tokens, std::size_t window,
                              std::optional<TokenId> first_token,
                              const std::function<void(std::size_t, std::size_t)>& progress) {
  const std::size_t windows = window < 2 ? 0 : tokens.size() / window;
  if (windows == 0) return fail("the text has {} tokens, fewer than one window of {}", tokens.size(), window);
  Perplexity result;
  result.tokens = tokens.size();
  double total = 0.0;
  for (std::size_t w = 0; w < windows; ++w) {
    if (progress) progress(w, windows);
    std::vector<TokenId> ids(tokens.begin() + static_cast<std::ptrdiff_t>(w * window),
                             tokens.begin() + static_cast<std::ptrdiff_t>((w + 1) * window));
    if (first_token) ids.front() = *first_token;
    double nll = 0.0;
    session.rewind(0);
    // The last token of a window predicts nothing that is scored, so it need not be computed.
    STERNA_CHECK(
        session.append(std::span(ids).first(window - 1), [&](std::size_t i, std::span<const float> logits) {
          nll += negative_log_likelihood(logits, ids[i + 1]);
        }));
    result.nll_per_window.push_back(nll);
    result.scored_tokens += window - 1;
    total += nll;
  }
  result.perplexity = std::exp(total / static_cast<double>(result.scored_tokens));
  return result;
}

}  // namespace sterna::runtime
