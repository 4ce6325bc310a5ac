// The decoder of a tokenizer.json: turns tokens back into text, token by token.
//
// A decoder is a chain of steps; each takes tokens and gives tokens, and the text is their concatenation.
// Steps run on a stream: each hands on what later tokens cannot change, so that text can be shown while it is
// generated. One decoding of a whole list is the same stream without a pause, so the two cannot differ.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "runtime/result.h"
#include "runtime/tokenizer/json_fields.h"
#include "runtime/tokenizer/metaspace.h"
#include "runtime/tokenizer/pattern.h"

namespace sterna::runtime::tokenization {

struct ReplaceDecoder {
  Pattern pattern;
  std::string content;
};
struct ByteFallbackDecoder {};
struct ByteLevelDecoder {};
struct FuseDecoder {};
struct StripDecoder {
  std::string content;              // one character
  std::size_t start = 0, stop = 0;  // at most so many are removed from either end
};
struct JoinDecoder {};  // no decoder at all: tokens with a space between them

using DecoderStep = std::variant<ReplaceDecoder, ByteFallbackDecoder, ByteLevelDecoder, FuseDecoder,
                                 StripDecoder, MetaspaceOptions, JoinDecoder>;

// Supported: null, Sequence, ByteLevel, Replace, ByteFallback, Fuse, Strip, Metaspace.
Result<std::vector<DecoderStep>> parse_decoder(const Field& field);

class DecodeStage;

// One decoding in progress. The steps must outlive it.
class DecodeStream {
 public:
  explicit DecodeStream(const std::vector<DecoderStep>& steps);
  ~DecodeStream();
  DecodeStream(DecodeStream&&) noexcept;
  DecodeStream& operator=(DecodeStream&&) noexcept;
  DecodeStream(const DecodeStream&) = delete;
  DecodeStream& operator=(const DecodeStream&) = delete;

  void push(std::string_view token);
  void finish();       // no more tokens
  std::string take();  // the text that became certain since the last call

 private:
  std::unique_ptr<std::string> out_;  // its address is known to the last stage
  std::vector<std::unique_ptr<DecodeStage>> stages_;
};

}  // namespace sterna::runtime::tokenization
