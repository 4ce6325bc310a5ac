#include "runtime/tokenizer/tokenizer.h"

#include "runtime/tokenizer/decoder.h"
#include "runtime/tokenizer/limits.h"
#include "runtime/tokenizer/tokenizer_impl.h"
#include "runtime/tokenizer/unicode.h"

namespace sterna::runtime {

Result<Tokenizer> Tokenizer::create(const TokenizerSpec& spec, std::string_view where,
                                    CreateOptions options) {
  STERNA_TRY(auto impl, TokenizerImpl::create(spec, where, options.jit));
  return Tokenizer(std::move(impl));
}

Result<std::vector<TokenId>> Tokenizer::encode(std::string_view text, EncodeOptions options) const {
  const TextSegment segment{text, options.parse_special};
  return encode_segments({&segment, 1}, options.add_special);
}

Result<std::vector<TokenId>> Tokenizer::encode_segments(std::span<const TextSegment> segments,
                                                        bool add_special) const {
  std::string text;
  std::vector<tokenization::Span> trusted;
  for (const TextSegment& segment : segments) {
    if (segment.text.size() >= tokenization::kLongestText - text.size()) {
      return fail("a text of {} bytes is too long to encode", text.size() + segment.text.size());
    }
    const std::size_t begin = text.size();
    if (tokenization::is_valid_utf8(segment.text)) {
      text += segment.text;
    } else {
      text += tokenization::to_valid_utf8(segment.text);
    }
    if (segment.parse_special) trusted.push_back({begin, text.size()});
  }
  std::vector<TokenId> ids;
  STERNA_CHECK(impl_->encode(text, trusted, ids));
  return add_special ? impl_->post_processor().apply(std::move(ids)) : std::move(ids);
}

std::string Tokenizer::decode(std::span<const TokenId> ids, bool skip_special) const {
  tokenization::DecodeStream stream(impl_->decoder());
  for (const TokenId id : ids) {
    const std::string_view text = impl_->decoder_input(id, skip_special);
    if (!text.empty()) stream.push(text);
  }
  stream.finish();
  return stream.take();
}

std::size_t Tokenizer::vocab_size() const { return impl_->vocab_size(); }

std::optional<TokenId> Tokenizer::id_of(std::string_view token) const {
  if (const auto* added = impl_->added().find(token)) return added->id;
  const TokenId id = impl_->vocabulary().find(token);
  return id >= 0 ? std::optional(id) : std::nullopt;
}

std::string_view Tokenizer::token(TokenId id) const { return impl_->token(id); }

bool Tokenizer::is_special(TokenId id) const { return impl_->is_special(id); }

struct StreamDecoder::State {
  std::shared_ptr<const TokenizerImpl> impl;  // keeps the steps alive
  bool skip_special;
  tokenization::DecodeStream stream;
};

StreamDecoder::StreamDecoder(const Tokenizer& tokenizer, bool skip_special)
    : state_(
          new State{tokenizer.impl_, skip_special, tokenization::DecodeStream(tokenizer.impl_->decoder())}) {}

StreamDecoder::~StreamDecoder() = default;
StreamDecoder::StreamDecoder(StreamDecoder&&) noexcept = default;
StreamDecoder& StreamDecoder::operator=(StreamDecoder&&) noexcept = default;

std::string StreamDecoder::push(TokenId id) {
  const std::string_view text = state_->impl->decoder_input(id, state_->skip_special);
  if (text.empty()) return {};
  state_->stream.push(text);
  return state_->stream.take();
}

std::string StreamDecoder::finish() {
  state_->stream.finish();
  std::string rest = state_->stream.take();
  state_->stream = tokenization::DecodeStream(state_->impl->decoder());
  return rest;
}

}  // namespace sterna::runtime
