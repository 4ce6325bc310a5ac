// Texts: perplexity, bits per byte, and the distance of every model's distributions from the baseline's.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "eval/contestant.h"
#include "eval/results.h"
#include "eval/text/record.h"
#include "eval/text/scores.h"

namespace sterna::eval {

struct TextSpec {
  std::string name;
  std::string content;          // UTF-8
  Protocol protocol;            // Protocol::bos is what the tokenizer says unless `bos` is set
  std::optional<bool> bos;      // replace the first token of every window by BOS
  bool parse_special = false;   // special tokens spelled out in the text are those tokens
  bool seen = false;            // measure it even if a model was calibrated on it
  std::size_t max_windows = 0;  // of those that the protocol cuts, the first; 0: all
};

// A record in place of a baseline (`from`), and one that is made of the baseline's rows (`to`).
struct TextRecord {
  const BaselineRecord* from = nullptr;
  BaselineRecord* to = nullptr;
};

// One result for each model. If the first is the baseline, all of them go through each window side by side,
// batch by batch, and the others are compared with it; their tokenizers must then give the same ids, and an
// error says which one does not. With a record to compare with there is one more result, the record's, in
// front. Each session has a context of at least the window, and all of them the same batch. A window of a
// model is a unit of the journal.
// Errors also: a text that fills no window, logits that are not finite, a record of other texts or another
// vocabulary, a text that a model was calibrated on, unless `seen` is set, cancelled.
Result<std::vector<TextResult>> run_text(std::span<Contestant> models, const TextSpec& text,
                                         const Surroundings& surroundings, const TextRecord& record = {});

// What the scores of all windows amount to. `windows` says at which position in its window each token lies;
// baseline == nullptr: nothing to compare with.
TextResult summarize_text(const TokenScores& scores, const TokenScores* baseline,
                          std::span<const std::size_t> positions, std::size_t window);

}  // namespace sterna::eval
