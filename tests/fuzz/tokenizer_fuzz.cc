// The first byte chooses: a tokenizer from arbitrary JSON (bit 0 of it: through split_spec), or arbitrary
// text and ids through a tokenizer that has every kind of component.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/tokenizer/tokenizer.h"

namespace {

using sterna::runtime::StreamDecoder;
using sterna::runtime::TokenId;
using sterna::runtime::Tokenizer;
using sterna::runtime::TokenizerSpec;

// Two fixed tokenizers: SentencePiece-style with byte fallback, and byte-level with a splitting expression.
constexpr std::string_view kPipelines[] = {
    R"({"added_tokens": [{"id": 0, "content": "<s>", "special": true, "normalized": false, "lstrip": true},
                         {"id": 9, "content": "AB", "normalized": true, "rstrip": true},
                         {"id": 10, "content": "ab", "normalized": false, "single_word": true}],
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFKC"}, {"type": "Lowercase"},
            {"type": "Strip", "strip_left": false, "strip_right": true},
            {"type": "Replace", "pattern": {"Regex": "[^\\S\\n]{2,}"}, "content": " "}]},
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": true},
        "post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>"}},
            {"Sequence": {"id": "A"}}], "special_tokens": {"<s>": {"ids": [0]}}},
        "decoder": {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
            {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 1}]},
        "model": {"type": "BPE", "unk_token": "<unk>", "byte_fallback": true, "fuse_unk": true,
            "vocab": {"<s>": 0, "<unk>": 1, "a": 2, "b": 3, "▁": 4, "▁a": 5, "<0xE3>": 6, "<0x81>": 7, "aa": 8},
            "merges": ["▁ a", "a a"]}})",
    R"({"added_tokens": [{"id": 7, "content": "\n\n", "normalized": false}],
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": "\\p{N}{1,3}|\\s+(?!\\S)|[^\\s\\p{N}]+"}, "behavior": "Isolated"},
            {"type": "Digits", "individual_digits": true},
            {"type": "ByteLevel", "add_prefix_space": true, "use_regex": true}]},
        "decoder": {"type": "ByteLevel"},
        "model": {"type": "BPE", "ignore_merges": true, "vocab": {"Ġ": 0, "a": 1, "Ġa": 2, "ã": 3, "ģ": 4, "ãģ": 5, "1": 6},
            "merges": [["Ġ", "a"], ["ã", "ģ"]]}})"};

void require(bool condition) {
  if (!condition) std::abort();
}

void use(const Tokenizer& tokenizer, std::string_view text) {
  for (const bool special : {false, true}) {
    const auto ids = tokenizer.encode(text, {special, special});
    if (!ids) continue;
    for (const TokenId id : *ids) require(id >= 0 && static_cast<std::size_t>(id) < tokenizer.vocab_size());
    StreamDecoder stream(tokenizer, special);
    std::string pieces;
    for (const TokenId id : *ids) pieces += stream.push(id);
    require(pieces + stream.finish() == tokenizer.decode(*ids, special));
  }
  std::vector<TokenId> ids;
  for (const char c : text) ids.push_back(static_cast<TokenId>(c) - 2);
  StreamDecoder stream(tokenizer, false);
  std::string pieces;
  for (const TokenId id : ids) pieces += stream.push(id);
  require(pieces + stream.finish() == tokenizer.decode(ids, false));
}

void create_and_use(TokenizerSpec spec, bool split) {
  if (split) {
    auto parts = sterna::runtime::split_spec(spec.pipeline, "fuzz");
    if (!parts) return;
    spec = *std::move(parts);
  }
  if (const auto tokenizer = Tokenizer::create(spec, "fuzz"))
    use(*tokenizer, "Aab  <s> 12\n\nあ é \xE3\x81 aaaa");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::vector<Tokenizer>* const kTokenizers = [] {
    static std::vector<Tokenizer> tokenizers;
    for (const std::string_view pipeline : kPipelines) {
      auto tokenizer = Tokenizer::create({std::string(pipeline), {}, {}}, "fuzz");
      require(tokenizer.ok());
      tokenizers.push_back(*std::move(tokenizer));
    }
    return &tokenizers;
  }();
  if (size == 0) return 0;
  std::string text(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] < 0x80) {
    use((*kTokenizers)[data[0] & 1U], text);
  } else {
    create_and_use({std::move(text), {}, {}}, (data[0] & 1U) != 0);
  }
  return 0;
}
