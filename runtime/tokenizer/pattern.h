// What normalizers, pre-tokenizers and decoders search for, and how a text is split at it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/result.h"
#include "runtime/tokenizer/json_fields.h"
#include "runtime/tokenizer/regex.h"

namespace sterna::runtime::tokenization {

// {"String": text} or {"Regex": expression}
class Pattern {
 public:
  static Result<Pattern> parse(const Field& field);
  static Pattern literal(std::string text);
  static Result<Pattern> regex(std::string_view expression, bool jit);

  // Appends the matches, left to right.
  Status find_all(std::string_view text, RegexScratch& scratch, std::vector<Span>& matches) const;
  // The text with every match replaced; `removed_front`, if given, tells whether the replacement of a match
  // at the very beginning came from behind it: nothing, or what stands for several characters.
  Result<std::string> replace_all(std::string_view text, std::string_view content, RegexScratch& scratch,
                                  bool* removed_front = nullptr) const;

 private:
  std::string literal_;
  std::optional<Regex> regex_;
};

// A part of a text: a match, or what lies between matches. Parts cover the text without gaps.
struct Part {
  Span span;
  bool is_match = false;
};

std::vector<Part> parts_of(std::string_view text, const std::vector<Span>& matches);
// Every character for which the predicate holds is one match.
std::vector<Part> parts_by_character(std::string_view text, bool (*predicate)(char32_t));

// What becomes of the matches. For "a-b--c" split at "-":
enum class SplitBehavior {
  kRemoved,             // a b c
  kIsolated,            // a - b - - c
  kMergedWithPrevious,  // a- b- - c
  kMergedWithNext,      // a -b - -c
  kContiguous,          // a - b -- c
};

Result<SplitBehavior> parse_split_behavior(const Field& field);

// The pieces; some may be empty.
std::vector<Span> apply_behavior(const std::vector<Part>& parts, SplitBehavior behavior);

}  // namespace sterna::runtime::tokenization
