// The pre-tokenizer of a tokenizer.json: cuts a text into the words that the model then encodes one by one.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/result.h"
#include "runtime/tokenizer/json_fields.h"
#include "runtime/tokenizer/regex.h"

namespace sterna::runtime::tokenization {

struct PreTokenizedText {
  std::string text;          // valid UTF-8
  std::vector<Span> pieces;  // none empty, ascending; parts that were removed lie between them
  bool at_origin = true;     // the first piece begins where the whole input begins

  [[nodiscard]] std::string_view piece(Span span) const {
    return std::string_view(text).substr(span.begin, span.end - span.begin);
  }
};

class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  virtual Status apply(PreTokenizedText& text, RegexScratch& scratch) const = 0;
};

// Null for a null field. Supported: Sequence, Split, Digits, ByteLevel, Metaspace, Whitespace,
// WhitespaceSplit, Punctuation.
Result<std::unique_ptr<PreTokenizer>> parse_pre_tokenizer(const Field& field);

}  // namespace sterna::runtime::tokenization
