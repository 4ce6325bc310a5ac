// The text that a conversion is calibrated on, as windows of tokens.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "runtime/result.h"
#include "runtime/tokenizer/tokenizer.h"

namespace sterna::convert {

struct CalibrationText {
  std::vector<std::string> files;  // text, or JSONL (*.jsonl) with a field "text"; empty: what comes with us
  std::size_t tokens = 65536;
  std::uint64_t seed = 0;
};

struct CalibrationWindows {
  std::size_t window = 0;                   // tokens of each
  std::vector<runtime::TokenId> ids;        // [windows, window]
  std::vector<std::uint32_t> fingerprints;  // of pieces of the text, to recognise it (see fingerprints.h)
  std::string description;                  // "wiki.valid.raw, 65,536 tokens"
  [[nodiscard]] std::size_t windows() const { return ids.size() / window; }
};

// Cuts the texts into windows side by side and takes as many as make `tokens`, in an order that the seed
// decides; all of them when there are less. Errors name the file: unreadable, not UTF-8, JSONL without
// "text", less than one window.
Result<CalibrationWindows> calibration_windows(const CalibrationText& text,
                                               const runtime::Tokenizer& tokenizer, std::size_t window);

}  // namespace sterna::convert
