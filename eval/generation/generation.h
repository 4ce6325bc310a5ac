// What models write: answers to a set of prompts, whether they loop, how varied they are, and how long they
// follow the baseline's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "eval/contestant.h"
#include "eval/results.h"
#include "runtime/sampler.h"

namespace sterna::eval {

struct GenerationSpec {
  std::string name;  // "greedy", "sampled"
  std::vector<std::string>
      prompts;              // a message to a model that has a chat template, else a text to go on with
  std::size_t limit = 128;  // tokens of an answer
  runtime::SamplingOptions sampling;  // temperature 0: greedy; every answer begins with this seed
};

// One result for each model. An answer is a unit of the journal. Where the first model is the baseline and
// the sampling is greedy, the answers of models with its vocabulary are compared with its answers, token by
// token.
Result<std::vector<GenerationResult>> run_generation(std::span<Contestant> models, const GenerationSpec& spec,
                                                     const Surroundings& surroundings);

// An answer loops when it ends with three or more rounds of the same tokens: a period of at most
// kLongestPeriod, and at least kLoopTokens in all, so that "no, no, no" is none.
inline constexpr std::size_t kLongestPeriod = 256;
inline constexpr std::size_t kLoopTokens = 16;
bool loops(std::span<const runtime::TokenId> tokens);

// Distinct n-grams over all n-grams, each within its answer; 0 when there are none (Li et al. 2016,
// distinct-n).
double distinct_share(std::span<const std::vector<runtime::TokenId>> answers, std::size_t n);

}  // namespace sterna::eval
