#include "runtime/tokenizer/tokenizer_impl.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "runtime/tokenizer/pipeline.h"
#include "runtime/tokenizer/unicode.h"

namespace sterna::runtime {

using namespace tokenization;  // NOLINT(google-build-using-namespace): this file puts those parts together

namespace {

Status check_utf8(const std::vector<std::string>& list, std::string_view name, std::string_view where) {
  const auto bad =
      std::find_if(list.begin(), list.end(), [](const auto& text) { return !is_valid_utf8(text); });
  if (bad == list.end()) return {};
  return fail("{}: {} {} is not valid UTF-8", where, name, bad - list.begin());
}

Status check_size(const std::vector<std::string>& list, std::string_view name, std::string_view where) {
  std::size_t bytes = 0;
  for (const auto& text : list) bytes += text.size();
  if (list.size() > kIdLimit || bytes > UINT32_MAX / 2) {
    return fail("{}: {} {}s with {} bytes are too many for a tokenizer", where, list.size(), name, bytes);
  }
  return {};
}

// Moves tokens and merges that lie outside of the pipeline in.
Status add_arrays(const TokenizerSpec& spec, const Field& model, Pipeline& pipeline, std::string_view where) {
  if (pipeline.has_vocabulary != spec.tokens.empty()) {
    return fail("{}: a tokenizer needs either model.vocab or a list of tokens", where);
  }
  if (pipeline.has_merges && !spec.merges.empty()) {
    return fail("{}: a tokenizer has both model.merges and a list of merges", where);
  }
  STERNA_CHECK(check_size(spec.tokens, "token", where));
  STERNA_CHECK(check_size(spec.merges, "merge", where));
  STERNA_CHECK(check_utf8(spec.tokens, "token", where));
  STERNA_CHECK(check_utf8(spec.merges, "merge", where));
  std::vector<bool> excluded(spec.tokens.size(), false);
  const Field excludes = model["vocab_excludes"];
  for (std::size_t i = 0; i < excludes.array_size(); ++i) {
    STERNA_TRY(const std::int64_t id, excludes[i].integer(0, static_cast<std::int64_t>(kIdLimit) - 1));
    if (static_cast<std::size_t>(id) < excluded.size()) excluded[static_cast<std::size_t>(id)] = true;
  }
  for (std::size_t id = 0; id < spec.tokens.size(); ++id) {
    if (!spec.tokens[id].empty() && !excluded[id])
      pipeline.vocabulary.add(spec.tokens[id], static_cast<TokenId>(id));
  }
  for (const auto& merge : spec.merges) STERNA_CHECK(add_merge(merge, pipeline.merges, where));
  return {};
}

Status check_model_kind(const Field& model) {
  STERNA_CHECK(model.require_object());
  STERNA_TRY(const std::string type, model["type"].string_or("BPE"));  // old files leave it out
  if (type != "BPE") return model.unsupported("model", type, "BPE");
  const Field dropout = model["dropout"];
  if (!dropout.is_null() && dropout.json() != 0) return dropout.error("only 0 or null is supported");
  for (const std::string_view name : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    STERNA_TRY(const std::string affix, model[name].string_or(""));
    if (!affix.empty()) return model[name].error("only an empty text or null is supported");
  }
  return {};
}

Result<BpeOptions> parse_bpe_options(const Field& model) {
  BpeOptions options;
  options.has_unknown = !model["unk_token"].is_null();
  STERNA_TRY(options.unknown_token, model["unk_token"].string_or(""));
  STERNA_TRY(options.fuse_unknown, model["fuse_unk"].boolean_or(false));
  STERNA_TRY(options.byte_fallback, model["byte_fallback"].boolean_or(false));
  STERNA_TRY(options.ignore_merges, model["ignore_merges"].boolean_or(false));
  return options;
}

}  // namespace

struct TokenizerImpl::Work {
  bool parse_special;
  RegexScratch regex;
  BpeScratch bpe;
  std::vector<TokenId>& ids;
};

Result<std::shared_ptr<const TokenizerImpl>> TokenizerImpl::create(const TokenizerSpec& spec,
                                                                   std::string_view where, bool jit) {
  STERNA_TRY(Pipeline pipeline, read_pipeline(spec.pipeline, where));
  const Field root(pipeline.tree, std::string(where), "", jit);
  STERNA_TRY(const std::string version, root["version"].string_or("1.0"));
  if (version != "1.0") return root["version"].unsupported("version", version, "1.0");
  const Field model = root["model"];
  STERNA_CHECK(check_model_kind(model));
  STERNA_CHECK(add_arrays(spec, model, pipeline, where));
  if (!pipeline.has_merges && spec.merges.empty()) return model["merges"].error("an array is needed");
  STERNA_TRY(BpeOptions options, parse_bpe_options(model));
  STERNA_TRY(Vocabulary vocabulary, Vocabulary::create(std::move(pipeline.vocabulary), where));
  auto impl = std::make_shared<TokenizerImpl>();
  STERNA_TRY(impl->bpe_, Bpe::create(std::move(vocabulary), pipeline.merges, std::move(options), where));
  STERNA_TRY(impl->normalizer_, parse_normalizer(root["normalizer"]));
  STERNA_TRY(impl->pre_tokenizer_, parse_pre_tokenizer(root["pre_tokenizer"]));
  STERNA_CHECK(impl->build_added(root));
  STERNA_TRY(impl->post_processor_, PostProcessor::parse(root["post_processor"], impl->vocab_size_));
  STERNA_TRY(impl->decoder_, parse_decoder(root["decoder"]));
  return std::shared_ptr<const TokenizerImpl>(std::move(impl));
}

Status TokenizerImpl::build_added(const Field& root) {
  const Field field = root["added_tokens"];
  STERNA_TRY(added_, AddedTokens::parse(field));
  std::vector<TokenId> special;
  std::vector<std::string> normalized;
  vocab_size_ = vocabulary().id_limit();
  for (const AddedToken& token : added_.list()) {
    const TokenId in_vocabulary = vocabulary().find(token.content);
    if (in_vocabulary >= 0 && in_vocabulary != token.id) {
      return field.error(fmt::format("'{}' has the id {}, but {} in the vocabulary", token.content, token.id,
                                     in_vocabulary));
    }
    if (in_vocabulary < 0 && vocabulary().contains(token.id)) {
      return field.error(fmt::format("'{}' has the id {} of '{}' in the vocabulary", token.content, token.id,
                                     vocabulary().token(token.id)));
    }
    vocab_size_ = std::max(vocab_size_, static_cast<std::size_t>(token.id) + 1);
    if (token.special) special.push_back(token.id);
    NormalizedText text{token.content, true};
    RegexScratch scratch(token.content.size());
    if (token.normalized && normalizer_) STERNA_CHECK(normalizer_->apply(text, scratch));
    normalized.push_back(std::move(text.text));
  }
  added_.build(std::move(normalized));
  bpe_.set_special(special);
  return {};
}

Status TokenizerImpl::encode(std::string_view text, std::span<const Span> trusted,
                             std::vector<TokenId>& ids) const {
  // Behind the normalizer positions are no longer those of the text; there, special tokens are looked for
  // only if all of it is trusted.
  const bool all = trusted.size() == 1 && trusted[0].begin == 0 && trusted[0].end == text.size();
  Work work{all, RegexScratch(text.size()), {}, ids};
  for (const auto& section : added_.split(text, /*normalized=*/false, trusted)) {
    if (section.token >= 0) {
      ids.push_back(added_.list()[static_cast<std::size_t>(section.token)].id);
    } else {
      const Span span = section.span;
      STERNA_CHECK(encode_section(text.substr(span.begin, span.end - span.begin), span.begin == 0, work));
    }
  }
  return {};
}

Status TokenizerImpl::encode_section(std::string_view raw, bool at_origin, Work& work) const {
  NormalizedText text{std::string(raw), at_origin};
  if (normalizer_) STERNA_CHECK(normalizer_->apply(text, work.regex));
  if (text.text.empty()) return {};
  const Span whole{0, text.text.size()};
  if (!added_.has_normalized()) return encode_words({std::move(text.text), {whole}, text.at_origin}, work);
  const auto trusted = std::span(&whole, work.parse_special ? 1U : 0U);
  for (const auto& section : added_.split(text.text, /*normalized=*/true, trusted)) {
    const Span span = section.span;
    if (section.token >= 0) {
      work.ids.push_back(added_.list()[static_cast<std::size_t>(section.token)].id);
    } else {
      const std::size_t size = span.end - span.begin;
      STERNA_CHECK(encode_words(
          {text.text.substr(span.begin, size), {{0, size}}, text.at_origin && span.begin == 0}, work));
    }
  }
  return {};
}

Status TokenizerImpl::encode_words(PreTokenizedText text, Work& work) const {
  if (pre_tokenizer_) STERNA_CHECK(pre_tokenizer_->apply(text, work.regex));
  for (const Span span : text.pieces) {
    STERNA_CHECK(bpe_.tokenize(text.piece(span), work.parse_special, work.bpe, work.ids));
  }
  return {};
}

std::string_view TokenizerImpl::token(TokenId id) const {
  const AddedToken* added = added_.find(id);
  return added != nullptr ? std::string_view(added->content) : vocabulary().token(id);
}

std::string_view TokenizerImpl::decoder_input(TokenId id, bool skip_special) const {
  const AddedToken* added = added_.find(id);
  if (added == nullptr) return vocabulary().token(id);
  return added->special && skip_special ? std::string_view() : std::string_view(added->decoder_input);
}

bool TokenizerImpl::is_special(TokenId id) const {
  const AddedToken* added = added_.find(id);
  return added != nullptr && added->special;
}

}  // namespace sterna::runtime
