// The text that a conversion is calibrated on, as windows of tokens.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "runtime/model.h"
#include "runtime/result.h"
#include "runtime/tokenizer/tokenizer.h"

namespace sterna::convert {

struct CalibrationText {
  std::vector<std::string> files;  // text, or JSONL (*.jsonl) with a field "text"; empty: what comes with us
  std::size_t tokens = 65536;
  std::uint64_t seed = 0;
};

struct CalibrationWindows {
  std::size_t window = 0;             // tokens of each
  std::vector<runtime::TokenId> ids;  // [windows, window]
  runtime::Calibration text;          // "wiki.valid.raw (65,536 tokens)"
  [[nodiscard]] std::size_t windows() const { return ids.size() / window; }
  // The last ones, which nothing is fitted to: an eighth, at most 8.
  [[nodiscard]] std::size_t held_out() const { return std::min<std::size_t>(8, windows() / 8); }
};

// Cuts the texts into windows side by side and takes as many as make `tokens`, in an order that the seed
// decides; all of them when there are less. Errors name the file: unreadable, not UTF-8, JSONL without
// "text", less than one window.
Result<CalibrationWindows> calibration_windows(const CalibrationText& text,
                                               const runtime::Tokenizer& tokenizer, std::size_t window);

}  // namespace sterna::convert
