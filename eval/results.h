// What an evaluation found, as plain values: the measures fill it, the report shows it, and nothing else
// knows both. Probabilities and shares lie in 0..1, logarithms are natural (nats) unless a name says bits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sterna::eval {

// A mean and its standard error (one sigma).
struct Estimate {
  double value = 0;
  double error = 0;
};

// A quantile and the interval that holds the true one with 95 % (order statistics).
struct Quantile {
  double share = 0;  // 0.5, 0.9, 0.99, 0.999
  double value = 0;
  double low = 0;
  double high = 0;
};

// How a text was cut, for whoever wants the same numbers from another program.
struct Protocol {
  std::string name;  // "second-half" (llama.cpp's), "all", "strided" (of the transformers documentation)
  std::size_t window = 0;  // tokens
  std::size_t stride = 0;  // tokens; of "strided"
  bool bos = false;        // the first token of a window is replaced by BOS
};

// The tokens whose position in the window is in [first, last).
struct PositionRange {
  std::size_t first = 0;
  std::size_t last = 0;
  std::size_t tokens = 0;
  Estimate nll;
  Estimate kl;
  Estimate top1;
};

// A model's distributions beside the baseline's, over the scored tokens of a text.
struct Divergence {
  Estimate kl;                         // KL(baseline || model), nats per token
  std::vector<Quantile> kl_quantiles;  // 0.5, 0.9, 0.99, 0.999
  double kl_max = 0;
  Estimate top1;      // share of tokens where both have the same most likely one
  Estimate top5;      // mean share of the baseline's five most likely among the model's five
  Estimate p_change;  // p_model(true token) - p_baseline(true token)
  double p_change_rms = 0;
  std::vector<Quantile> p_change_quantiles;  // 0.01, 0.05, 0.5, 0.95, 0.99
  Estimate nll_change;                       // paired; exp of it is the ratio of the perplexities
  std::vector<PositionRange> by_position;
};

struct TextResult {
  std::string text;  // name
  Protocol protocol;
  std::size_t tokens = 0;
  std::size_t scored_tokens = 0;
  std::uint64_t scored_bytes = 0;
  Estimate nll;         // per scored token
  Estimate perplexity;  // exp(nll)
  Estimate bits_per_byte;
  std::optional<Divergence> divergence;  // none for the baseline, or without one
};

// A model's answers beside the baseline's on the same items.
struct PairedTest {
  std::size_t only_baseline = 0;  // items that only the baseline got right
  std::size_t only_model = 0;
  Estimate difference;  // accuracy of the model minus that of the baseline, by paired bootstrap
  double p_value = 1;   // McNemar, exact, two-sided
};

struct TaskResult {
  std::string task;
  std::size_t items = 0;
  std::size_t shots = 0;
  std::size_t left_out = 0;   // items that are not among `items`: an answer is longer than a model's context
  std::size_t truncated = 0;  // items whose context was cut at its beginning to fit
  double chance = 0;          // accuracy of guessing
  Estimate acc;
  std::optional<Estimate> acc_norm;    // by the length of the choices; tasks with choices only
  std::optional<Estimate> perplexity;  // of the target; LAMBADA
  std::optional<PairedTest> acc_test;  // against the baseline
  std::optional<PairedTest> acc_norm_test;
};

struct Answer {
  std::string prompt;
  std::string text;
  std::size_t tokens = 0;
  bool loops = false;
  bool finished = false;                        // the model ended it
  std::optional<std::size_t> first_difference;  // token at which it leaves the baseline's answer; none: never
};

struct GenerationResult {
  std::string name;       // "greedy", "sampled"
  std::size_t limit = 0;  // tokens
  Estimate looping;       // share of answers
  Estimate length;        // tokens
  double distinct1 = 0;   // distinct n-grams of tokens over n-grams, of all answers
  double distinct2 = 0;
  double distinct3 = 0;
  std::optional<Estimate> agreement;  // share of the baseline's answer before the first differing token
  std::vector<Answer> answers;
};

// A sentence hidden in a long text, asked for at the end.
struct NeedleCell {
  std::size_t length = 0;  // tokens of the text
  double depth = 0;        // 0: at its beginning, 1: at its end
  std::size_t asked = 0;
  std::size_t found = 0;
};

struct Cost {
  std::uint64_t file_bytes = 0;
  double bits_per_weight = 0;        // of the linear matrices
  double bits_per_weight_whole = 0;  // with embedding and head
  std::uint64_t peak_resident_bytes = 0;
  double load_seconds = 0;
  Estimate prefill;  // tokens/s
  Estimate decode;   // tokens/s
  std::size_t prefill_tokens = 0;
  std::size_t decode_tokens = 0;
};

struct ModelResult {
  std::string name;  // short, unique in the report
  std::string path;
  std::string kind;       // "float", "1 plane", ...
  std::string checksum;   // of the weights; hexadecimal
  std::string tokenizer;  // models with the same value have the same vocabulary
  bool is_baseline = false;
  std::optional<Cost> cost;
  std::vector<TextResult> texts;
  std::vector<TaskResult> tasks;
  std::vector<GenerationResult> generations;
  std::vector<NeedleCell> needle;
};

struct Report {
  std::string version;
  std::string command;
  std::string date;  // UTC, ISO 8601
  std::string cpu;
  std::string isa;
  std::size_t threads = 0;
  std::string suite;
  std::string kv;                   // type of the KV cache
  std::vector<std::string> notes;   // what was left out, and why
  std::vector<ModelResult> models;  // the baseline first, if there is one

  [[nodiscard]] const ModelResult* baseline() const {
    return !models.empty() && models.front().is_baseline ? &models.front() : nullptr;
  }
};

}  // namespace sterna::eval
