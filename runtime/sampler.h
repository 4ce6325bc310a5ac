// Chooses the next token from logits. Order and meaning as in llama.cpp: top-k, top-p, min-p, temperature,
// draw.
#pragma once

#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "runtime/forward.h"
#include "runtime/result.h"
#include "runtime/tokenizer/tokenizer.h"

namespace sterna::runtime {

struct SamplingOptions {
  float temperature = 0.8F;  // <= 0: greedy, the most likely token (the lowest id among equals)
  std::uint32_t top_k = 40;  // keep the k most likely; 0: all
  float top_p = 0.95F;       // keep the smallest set whose probability reaches p; 1: all
  float min_p = 0.05F;       // drop what is below p times the most likely; 0: none
  std::uint64_t seed = 0;    // the same seed gives the same text on every machine
};

// Ranges; the message names the option.
Status validate(const SamplingOptions& options);

class Sampler {
 public:
  explicit Sampler(const SamplingOptions& options);

  // Of the logits that sample() gets, it looks only at these.
  [[nodiscard]] LogitsNeed need() const {
    return {options_.temperature <= 0.0F ? std::size_t{1} : options_.top_k};
  }

  // An error when a logit is NaN or none is finite: the model is damaged.
  Result<TokenId> sample(std::span<const float> logits);

 private:
  struct Candidate {
    TokenId id;
    float logit;
    double probability;
  };
  void keep_top_k(std::span<const float> logits);
  void keep_top_p();
  void keep_min_p();
  void set_probabilities(double temperature);
  double uniform();

  SamplingOptions options_;
  std::mt19937_64 random_;
  std::vector<Candidate> candidates_;  // most likely first
};

}  // namespace sterna::runtime
