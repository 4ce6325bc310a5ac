// The normalizer of a tokenizer.json: rewrites a text before it is split.
#pragma once

#include <memory>
#include <string>

#include "runtime/result.h"
#include "runtime/tokenizer/json_fields.h"
#include "runtime/tokenizer/regex.h"

namespace sterna::runtime::tokenization {

struct NormalizedText {
  std::string text;       // valid UTF-8
  bool at_origin = true;  // its first character comes from the first one of the whole input (Metaspace asks)
};

class Normalizer {
 public:
  virtual ~Normalizer() = default;
  virtual Status apply(NormalizedText& text, RegexScratch& scratch) const = 0;
};

// Null for a null field. Supported: Sequence, Prepend, Replace, Strip, NFC, NFD, NFKC, NFKD, Lowercase.
Result<std::unique_ptr<Normalizer>> parse_normalizer(const Field& field);

}  // namespace sterna::runtime::tokenization
