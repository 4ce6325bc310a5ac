// A baseline's distributions, kept for later comparisons: of every scored token the kTop most likely ones
// with their log-probabilities, and the likelihood of the token that was there.
//
// A comparison with a record sees the tokens that it does not name as one: KL = sum over the named of p ln(p
// / q), plus the same of the two rests. By the log-sum inequality that is never more than the true
// divergence; the report says how much probability the rests hold. Perplexities, top-1 and top-5 agreement
// are exact.
//
// The file is a safetensors file, which other programs read, too: "about" (U8) is JSON, and of text i there
// are "texts.i.ids" (I32 [tokens, top]), "texts.i.log_p" (F32, the same shape) and "texts.i.nll" (F64
// [tokens]).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "eval/results.h"
#include "eval/text/scores.h"

namespace sterna::eval {

inline constexpr std::size_t kRecordTop = 64;

struct RecordedRows {
  std::size_t top = kRecordTop;   // fewer only where the vocabulary is smaller
  std::vector<std::int32_t> ids;  // [tokens, top], most likely first
  std::vector<float> log_p;       // [tokens, top]
  std::vector<double> nll;        // [tokens]

  [[nodiscard]] std::size_t tokens() const { return nll.size(); }
  // Probability of what is not named, the mean over all tokens.
  [[nodiscard]] double mean_rest() const;
};

struct RecordedText {
  std::string key;  // text and protocol; text.h makes it
  RecordedRows rows;
};

struct BaselineRecord {
  std::string name;
  std::string kind;
  std::string checksum;
  std::string tokenizer;
  std::vector<RecordedText> texts;

  [[nodiscard]] const RecordedText* find(const std::string& key) const;
};

// Adds the rows [targets.size(), vocab] of a baseline.
void add_rows(std::span<const float> logits, std::span<const RowSummary> rows,
              std::span<const runtime::TokenId> targets, runtime::ThreadPool& pool, RecordedRows& record);

// Adds how far the model's rows are from the recorded ones that begin at number `first`.
void add_divergences(const RecordedRows& record, std::size_t first, std::span<const float> model,
                     std::span<const RowSummary> model_rows, TokenScores& scores);

// Written beside and renamed when whole.
Status save_record(const BaselineRecord& record, const std::string& path);
// Errors name the file and what is wrong with it.
Result<BaselineRecord> load_record(const std::string& path);

}  // namespace sterna::eval
