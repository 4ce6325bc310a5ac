#include "runtime/sampler.h"

#include <algorithm>
#include <cmath>

namespace sterna::runtime {

Status validate(const SamplingOptions& o) {
  if (!std::isfinite(o.temperature)) return fail("--temp {} is not a number", o.temperature);
  if (!(o.top_p > 0.0F && o.top_p <= 1.0F)) return fail("--top-p {} is not in (0, 1]", o.top_p);
  if (!(o.min_p >= 0.0F && o.min_p <= 1.0F)) return fail("--min-p {} is not in [0, 1]", o.min_p);
  return {};
}

Sampler::Sampler(const SamplingOptions& options) : options_(options), random_(options.seed) {}

// 53 bits in [0, 1); std::uniform_real_distribution differs between standard libraries.
double Sampler::uniform() { return static_cast<double>(random_() >> 11) * 0x1.0p-53; }

Result<TokenId> Sampler::sample(std::span<const float> logits) {
  TokenId best = -1;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (std::isnan(logits[i]))
      return fail("the model computed a logit that is not a number; its file is damaged");
    if (std::isfinite(logits[i]) && (best < 0 || logits[i] > logits[static_cast<std::size_t>(best)])) {
      best = static_cast<TokenId>(i);
    }
  }
  if (best < 0) return fail("the model computed no finite logit; its file is damaged");
  if (options_.temperature <= 0.0F) return best;

  keep_top_k(logits);
  set_probabilities(1.0);
  if (options_.top_p < 1.0F) keep_top_p();
  if (options_.min_p > 0.0F) keep_min_p();
  set_probabilities(options_.temperature);
  double left = uniform();
  for (const Candidate& c : candidates_) {
    left -= c.probability;
    if (left < 0.0) return c.id;
  }
  return candidates_.back().id;
}

void Sampler::keep_top_k(std::span<const float> logits) {
  candidates_.clear();
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (std::isfinite(logits[i])) candidates_.push_back({static_cast<TokenId>(i), logits[i], 0.0});
  }
  const auto more_likely = [](const Candidate& a, const Candidate& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
  };
  const std::size_t k =
      options_.top_k == 0 ? candidates_.size() : std::min<std::size_t>(options_.top_k, candidates_.size());
  std::partial_sort(candidates_.begin(), candidates_.begin() + static_cast<std::ptrdiff_t>(k),
                    candidates_.end(), more_likely);
  candidates_.resize(k);
}

void Sampler::set_probabilities(double temperature) {
  const double top = candidates_.front().logit;
  double sum = 0.0;
  for (Candidate& c : candidates_) sum += c.probability = std::exp((c.logit - top) / temperature);
  for (Candidate& c : candidates_) c.probability /= sum;
}

void Sampler::keep_top_p() {
  double sum = 0.0;
  std::size_t kept = 0;
  while (kept < candidates_.size() && sum < options_.top_p) sum += candidates_[kept++].probability;
  candidates_.resize(kept);
}

void Sampler::keep_min_p() {
  const double floor = options_.min_p * candidates_.front().probability;
  std::erase_if(candidates_, [&](const Candidate& c) { return c.probability < floor; });
}

}  // namespace sterna::runtime
