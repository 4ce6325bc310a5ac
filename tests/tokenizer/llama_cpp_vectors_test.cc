// The vectors of llama.cpp's tests: texts in .inp, their ids in .out.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <sstream>
#include <string>
#include <tuple>
#include <vector>

#include "tests/tokenizer/gguf_vocabulary.h"
#include "tests/tokenizer/small_tokenizer.h"

namespace sterna::testing {
namespace {

std::filesystem::path vector_file(const std::string& name) {
  return shared_data("tokenizers/ggml-vocab-" + name);
}

std::vector<std::string> texts_of(const std::string& name) {
  const std::string all = read_file(vector_file(name + ".gguf.inp"));
  const std::string mark = "\n__ggml_vocab_test__\n";
  std::vector<std::string> texts;
  std::size_t from = 0;
  for (std::size_t at = all.find(mark); at != std::string::npos; at = all.find(mark, from)) {
    texts.push_back(all.substr(from, at - from));
    from = at + mark.size();
  }
  return texts;
}

void check_vectors(const std::string& name, const runtime::Tokenizer& tokenizer) {
  const auto texts = texts_of(name);
  ASSERT_EQ(texts.size(), 46U);
  std::istringstream lines(read_file(vector_file(name + ".gguf.out")));
  for (const auto& text : texts) {
    std::string line;
    ASSERT_TRUE(std::getline(lines, line));
    std::istringstream numbers(line);
    Ids expected;
    for (runtime::TokenId id = 0; numbers >> id;) expected.push_back(id);
    EXPECT_EQ(encode(tokenizer, text, {.add_special = false, .parse_special = true}), expected) << text;
  }
}

TEST(LlamaCppVectors, Llama3) {
  const auto path = shared_data("tokenizers/llama3_tokenizer.json");
  STERNA_NEEDS_SHARED(path);
  check_vectors("llama-bpe", must_create({read_file(path), {}, {}}));
}

TEST(LlamaCppVectors, Gpt2) {
  STERNA_NEEDS_SHARED(vector_file("gpt-2.gguf"));
  GgufVocabulary vocabulary = GgufVocabularyReader(read_file(vector_file("gpt-2.gguf"))).read();
  const json pipeline = {
      {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}}},
      {"decoder", {{"type", "ByteLevel"}}},
      {"added_tokens", json::array({added_token("<|endoftext|>", 50256, {{"special", true}})})},
      {"model", {{"type", "BPE"}}}};
  check_vectors("gpt-2", must_create({pipeline.dump(), vocabulary.tokens, vocabulary.merges}));
}

// SentencePiece's BPE knows scores instead of merges: two neighbours may merge if together they are a token,
// those of the highest score first. As merges: all ways to cut a token into two tokens, by descending score.
std::vector<std::string> merges_of(const GgufVocabulary& vocabulary) {
  std::map<std::string, std::size_t> ids;
  for (std::size_t id = 0; id < vocabulary.tokens.size(); ++id) ids.emplace(vocabulary.tokens[id], id);
  std::vector<std::tuple<float, std::size_t, std::size_t>> pairs;
  for (std::size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    const std::string& token = vocabulary.tokens[id];
    for (std::size_t cut = 1; cut < token.size(); ++cut) {
      const auto left = ids.find(token.substr(0, cut));
      const auto right = ids.find(token.substr(cut));
      if (left != ids.end() && right != ids.end())
        pairs.emplace_back(-vocabulary.scores[id], left->second, right->second);
    }
  }
  std::sort(pairs.begin(), pairs.end());
  std::vector<std::string> merges;
  merges.reserve(pairs.size());
  for (const auto& [score, left, right] : pairs)
    merges.push_back(vocabulary.tokens[left] + " " + vocabulary.tokens[right]);
  return merges;
}

TEST(LlamaCppVectors, Llama2SentencePiece) {
  STERNA_NEEDS_SHARED(vector_file("llama-spm.gguf"));
  const GgufVocabulary vocabulary = GgufVocabularyReader(read_file(vector_file("llama-spm.gguf"))).read();
  ASSERT_EQ(vocabulary.tokens.size(), 32000U);
  const json replace = {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", "▁"}};
  const json pipeline = {
      {"normalizer",
       {{"type", "Sequence"},
        {"normalizers", json::array({json{{"type", "Prepend"}, {"prepend", "▁"}}, replace})}}},
      {"added_tokens", json::array({added_token("<s>", 1, {{"special", true}}),
                                    added_token("</s>", 2, {{"special", true}})})},
      {"model", {{"type", "BPE"}, {"unk_token", "<unk>"}, {"fuse_unk", true}, {"byte_fallback", true}}}};
  check_vectors("llama-spm", must_create({pipeline.dump(), vocabulary.tokens, merges_of(vocabulary)}));
}

}  // namespace
}  // namespace sterna::testing
