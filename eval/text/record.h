// A baseline's distributions, kept for later comparisons: of every scored token the kRecordTop most likely
// ones and kRecordTail drawn from the others, with their log-probabilities, and the likelihood of the token
// that was there.
//
// KL(baseline || model) is a sum over the vocabulary of p ln(p / q). That over the named tokens is exact;
// that over the rest is estimated by (1 - sum of the named p) * mean of ln(p / q) over drawn tokens, where a
// token is drawn with a probability in proportion to p (systematic sampling in the order of ids, from an
// offset that depends on the token's number only). So the mean KL has no bias, and its standard error holds
// what the draw adds; of a single token, and so of quantiles, the value is blurred. Perplexities, top-1 and
// top-5 agreement are exact.
//
// The file is a safetensors file, which other programs read, too: "about" (U8) is JSON, and of text i there
// are "texts.i.ids" (I32 [tokens, top + tail]), "texts.i.log_p" (F32, the same shape) and "texts.i.nll" (F64
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
inline constexpr std::size_t kRecordTail = 32;

struct RecordedRows {
  std::size_t top = kRecordTop;    // fewer only where the vocabulary is smaller;
  std::size_t tail = kRecordTail;  // then none
  std::vector<std::int32_t> ids;   // [tokens, top + tail], the most likely first, then the drawn ones
  std::vector<float> log_p;        // [tokens, top + tail]
  std::vector<double> nll;         // [tokens]

  [[nodiscard]] std::size_t tokens() const { return nll.size(); }
  [[nodiscard]] std::size_t width() const { return top + tail; }
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
