#include <algorithm>
#include <cmath>

#include "eval/statistics.h"
#include "eval/text/text.h"

namespace sterna::eval {
namespace {

constexpr std::size_t kPositionRanges = 8;
constexpr double kKlShares[] = {0.5, 0.9, 0.99, 0.999};
constexpr double kChangeShares[] = {0.01, 0.05, 0.5, 0.95, 0.99};

std::vector<Quantile> quantiles(std::vector<double> values, std::span<const double> shares) {
  std::sort(values.begin(), values.end());
  std::vector<Quantile> result;
  result.reserve(shares.size());
  for (const double share : shares) result.push_back(quantile_of(values, share));
  return result;
}

std::vector<double> as_doubles(std::span<const std::uint8_t> counts, double per) {
  std::vector<double> shares;
  shares.reserve(counts.size());
  for (const std::uint8_t count : counts) shares.push_back(count / per);
  return shares;
}

// Of the scored tokens whose position is in the range.
PositionRange in_range(const TokenScores& s, std::span<const std::size_t> positions, std::size_t first,
                       std::size_t last) {
  std::vector<double> nll;
  std::vector<double> kl;
  std::vector<double> top1;
  for (std::size_t i = 0; i < positions.size(); ++i) {
    if (positions[i] < first || positions[i] >= last) continue;
    nll.push_back(s.nll[i]);
    kl.push_back(s.kl[i]);
    top1.push_back(s.same_top[i]);
  }
  return {first, last, nll.size(), mean_of(nll), mean_of(kl), mean_of(top1)};
}

Divergence divergence_of(const TokenScores& s, const TokenScores& baseline,
                         std::span<const std::size_t> positions, std::size_t window) {
  Divergence d;
  d.kl = mean_of(s.kl);
  d.kl_quantiles = quantiles(s.kl, kKlShares);
  d.kl_max = *std::max_element(s.kl.begin(), s.kl.end());
  d.top1 = mean_of(as_doubles(s.same_top, 1));
  d.top5 = mean_of(as_doubles(s.top5, static_cast<double>(kTop)));
  std::vector<double> p_changes;
  std::vector<double> squares;
  std::vector<double> nll_changes;
  for (std::size_t i = 0; i < s.nll.size(); ++i) {
    p_changes.push_back(std::exp(-s.nll[i]) - std::exp(-baseline.nll[i]));
    squares.push_back(p_changes.back() * p_changes.back());
    nll_changes.push_back(s.nll[i] - baseline.nll[i]);
  }
  d.p_change = mean_of(p_changes);
  d.p_change_rms = std::sqrt(mean_of(squares).value);
  d.p_change_quantiles = quantiles(p_changes, kChangeShares);
  d.nll_change = mean_of(nll_changes);
  for (std::size_t r = 0; r < kPositionRanges; ++r) {
    PositionRange range =
        in_range(s, positions, window * r / kPositionRanges, window * (r + 1) / kPositionRanges);
    if (range.tokens != 0) d.by_position.push_back(range);
  }
  return d;
}

}  // namespace

TextResult summarize_text(const TokenScores& s, const TokenScores* baseline,
                          std::span<const std::size_t> positions, std::size_t window) {
  TextResult result;
  result.scored_tokens = s.nll.size();
  result.nll = mean_of(s.nll);
  const double perplexity = std::exp(result.nll.value);
  result.perplexity = {perplexity, perplexity * result.nll.error};
  if (baseline != nullptr) result.divergence = divergence_of(s, *baseline, positions, window);
  return result;
}

}  // namespace sterna::eval
