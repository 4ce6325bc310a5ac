// Speed of a model by llama-bench's conventions: pp N (prefill of N tokens at once), tg N (N tokens one after
// the other), both of them, each after `depth` tokens that are not timed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/session.h"

namespace sterna::runtime {

struct SpeedTest {
  std::size_t prompt = 0;    // tokens of the prefill
  std::size_t generate = 0;  // tokens decoded after it
  std::size_t depth = 0;     // tokens in the context before

  [[nodiscard]] std::string name() const;  // "pp512", "tg128 @ d4096", "pp512+tg128"
  [[nodiscard]] std::size_t tokens() const { return prompt + generate; }
  [[nodiscard]] std::size_t context() const { return depth + prompt + generate; }
};

struct SpeedResult {
  std::vector<double> tokens_per_second;  // one per repetition
  double head_rows = 0;                   // of the head, computed for a token; mean of those decoded
  double head_bytes = 0;                  // read of the head for a token
  [[nodiscard]] double mean() const;
  [[nodiscard]] double deviation() const;  // of the sample; 0 for one repetition
};

// Tokens ask for what the default sampler looks at (SamplingOptions), the 40 largest logits.
// One repetition goes untimed before the others. The session's context must hold the test; what is in it is
// forgotten. With a profile one more repetition follows, whose steps are added to it and whose speed counts
// for nothing.
Result<SpeedResult> measure_speed(Session& session, const SpeedTest& test, std::size_t repetitions,
                                  Profile* profile = nullptr);

// Bytes that decoding one token at this depth reads: every matrix once, the row of the embedding, norms, and
// the keys and values. Of the head `head_bytes`. A tied head is counted as the head.
std::uint64_t bytes_per_token(const Model& model, std::size_t depth, kernels::KvType kv, double head_bytes);

}  // namespace sterna::runtime
