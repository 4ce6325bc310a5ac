// Text to token ids and back, exactly as a Hugging Face tokenizer.json says it.
//
// Supported is what causal language models use: a BPE model (byte-level or SentencePiece-style with byte
// fallback) and the components that the error for an unknown one lists. The fields "truncation" and "padding"
// are ignored. Reference: https://huggingface.co/docs/tokenizers (pipeline and components).
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/result.h"
#include "runtime/tokenizer/token_id.h"

namespace sterna::runtime {

// What a model file carries.
struct TokenizerSpec {
  // tokenizer.json; model.vocab and model.merges may have been moved out into the two fields below.
  std::string pipeline;
  // By id, added tokens included; empty string: no token has this id. Empty if the pipeline holds
  // model.vocab. "model.vocab_excludes" of the pipeline lists the ids that only added_tokens defines.
  std::vector<std::string> tokens;
  std::vector<std::string> merges;  // "left right"; empty if the pipeline holds model.merges
};

// Splits a complete tokenizer.json. Nothing is lost: a tokenizer made from the result equals one made from
// the JSON (whose `pipeline` alone is a valid TokenizerSpec, too). A list that the arrays cannot express
// stays in the pipeline: merges of tokens that contain a space, and a vocabulary with an empty token. Errors:
// not JSON, no model.vocab or model.merges, malformed entries of these.
Result<TokenizerSpec> split_spec(std::string_view tokenizer_json, std::string_view where);

// A piece of a text that is tokenized as one: special tokens are recognised only inside pieces with
// parse_special.
struct TextSegment {
  std::string_view text;
  bool parse_special = false;
};

class TokenizerImpl;

// Immutable: any number of threads may use one. Copies share everything.
class Tokenizer {
 public:
  struct CreateOptions {
    bool jit = true;  // let regular expressions become machine code where the platform can
  };
  struct EncodeOptions {
    // The post-processor's frame, such as the beginning-of-sequence token.
    bool add_special = true;
    // Special tokens spelled out in the text become those tokens; never for user text.
    bool parse_special = false;
  };

  // `where` names the file in error messages.
  // Errors: malformed JSON, unsupported components, inconsistent vocabulary, merges or added tokens.
  static Result<Tokenizer> create(const TokenizerSpec& spec, std::string_view where, CreateOptions options);
  static Result<Tokenizer> create(const TokenizerSpec& spec, std::string_view where) {
    return create(spec, where, CreateOptions());
  }

  // Ill-formed UTF-8 is read as U+FFFD, one for each maximal ill-formed part. Takes O(n log n) time.
  // Without parse_special no special token comes out of the text, save unk_token and one-character special
  // tokens that are also letters of the model's alphabet. Added tokens that are not special are always
  // recognised. Errors: a text of more than 64 MiB, also in between, a regular expression that takes too
  // much work, an unknown character where unk_token is no token.
  [[nodiscard]] Result<std::vector<TokenId>> encode(std::string_view text, EncodeOptions options) const;
  [[nodiscard]] Result<std::vector<TokenId>> encode(std::string_view text) const {
    return encode(text, EncodeOptions());
  }

  // The pieces put together as one text, so that words join across their borders: a chat template's text and
  // what a person wrote in between. Ill-formed UTF-8 is repaired in each piece by itself.
  [[nodiscard]] Result<std::vector<TokenId>> encode_segments(std::span<const TextSegment> segments,
                                                             bool add_special) const;

  // Valid UTF-8. Ids without a token are skipped, special tokens only with skip_special.
  [[nodiscard]] std::string decode(std::span<const TokenId> ids, bool skip_special) const;

  [[nodiscard]] std::size_t vocab_size() const;  // highest id + 1, added tokens included
  [[nodiscard]] std::optional<TokenId> id_of(std::string_view token) const;
  // As the tokenizer.json spells it ("Ġthe", "<0x0A>"); empty for ids without a token. Valid as long as the
  // tokenizer.
  [[nodiscard]] std::string_view token(TokenId id) const;
  [[nodiscard]] bool is_special(TokenId id) const;

 private:
  friend class StreamDecoder;
  explicit Tokenizer(std::shared_ptr<const TokenizerImpl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<const TokenizerImpl> impl_;
};

// Decodes ids one at a time. Each piece is whole characters that no later id can change; all pieces and
// finish() together are Tokenizer::decode() of all ids. For one thread at a time.
class StreamDecoder {
 public:
  StreamDecoder(const Tokenizer& tokenizer, bool skip_special);
  ~StreamDecoder();
  StreamDecoder(StreamDecoder&&) noexcept;
  StreamDecoder& operator=(StreamDecoder&&) noexcept;
  StreamDecoder(const StreamDecoder&) = delete;
  StreamDecoder& operator=(const StreamDecoder&) = delete;

  std::string push(TokenId id);
  std::string finish();  // the rest; afterwards the decoder is as new

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sterna::runtime
