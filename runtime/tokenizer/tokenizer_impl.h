// The parts of a tokenizer, in the order in which a text passes them.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/result.h"
#include "runtime/tokenizer/added_tokens.h"
#include "runtime/tokenizer/bpe.h"
#include "runtime/tokenizer/decoder.h"
#include "runtime/tokenizer/normalizer.h"
#include "runtime/tokenizer/post_processor.h"
#include "runtime/tokenizer/pre_tokenizer.h"
#include "runtime/tokenizer/tokenizer.h"

namespace sterna::runtime {

class TokenizerImpl {
 public:
  static Result<std::shared_ptr<const TokenizerImpl>> create(const TokenizerSpec& spec,
                                                             std::string_view where, bool jit);

  // Special tokens are recognised inside `trusted`, ascending and disjoint parts of the text.
  Status encode(std::string_view text, std::span<const tokenization::Span> trusted,
                std::vector<TokenId>& ids) const;

  [[nodiscard]] std::string_view token(TokenId id) const;
  // What the decoder gets for an id; nothing for ids without a token and for special ones that are to be
  // skipped.
  [[nodiscard]] std::string_view decoder_input(TokenId id, bool skip_special) const;
  [[nodiscard]] bool is_special(TokenId id) const;

  [[nodiscard]] const tokenization::AddedTokens& added() const { return added_; }
  [[nodiscard]] const tokenization::Vocabulary& vocabulary() const { return bpe_.vocabulary(); }
  [[nodiscard]] const tokenization::PostProcessor& post_processor() const { return post_processor_; }
  [[nodiscard]] const std::vector<tokenization::DecoderStep>& decoder() const { return decoder_; }
  [[nodiscard]] std::size_t vocab_size() const { return vocab_size_; }

 private:
  struct Work;  // what one encoding needs beside the text
  Status build_added(const tokenization::Field& root);
  Status encode_section(std::string_view text, bool at_origin, Work& work) const;
  Status encode_words(tokenization::PreTokenizedText text, Work& work) const;

  tokenization::AddedTokens added_;
  std::unique_ptr<tokenization::Normalizer> normalizer_;       // may be null
  std::unique_ptr<tokenization::PreTokenizer> pre_tokenizer_;  // may be null
  tokenization::Bpe bpe_;
  tokenization::PostProcessor post_processor_;
  std::vector<tokenization::DecoderStep> decoder_;
  std::size_t vocab_size_ = 0;
};

}  // namespace sterna::runtime
