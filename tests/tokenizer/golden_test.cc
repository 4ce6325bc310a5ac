// Ids and texts that Hugging Face tokenizers 0.23 gives: 138 texts for each of four tokenizers.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include "runtime/tokenizer/unicode.h"
#include "tests/tokenizer/small_tokenizer.h"

namespace sterna::testing {
namespace {

constexpr runtime::Tokenizer::EncodeOptions kText{.add_special = false, .parse_special = true};
constexpr runtime::Tokenizer::EncodeOptions kFramed{.add_special = true, .parse_special = true};

std::filesystem::path tokenizer_path(const std::string& name) {
  if (name == "bitllama2c") return shared_data("models/bitllama2c/tokenizer.json");
  if (name != "smollm2") return shared_data("tokenizers/" + name + "_tokenizer.json");
  const char* folder = std::getenv("STERNA_SMOLLM2");
  return std::filesystem::path(folder == nullptr ? "$STERNA_SMOLLM2" : folder) / "tokenizer.json";
}

class Golden : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    path_ = tokenizer_path(GetParam());
    const auto golden = shared_data(std::string("golden/tokenizers/") + GetParam() + ".json");
    STERNA_NEEDS_SHARED(path_);
    STERNA_NEEDS_SHARED(golden);
    cases_ = json::parse(read_file(golden));
    ASSERT_EQ(cases_.size(), 138U);
  }

  void check_ids(const runtime::Tokenizer& tokenizer) const {
    for (const json& c : cases_) {
      const auto text = c["text"].get<std::string>();
      EXPECT_EQ(encode(tokenizer, text, kText), c["ids"].get<Ids>()) << text;
      EXPECT_EQ(encode(tokenizer, text, kFramed), c["with_special"].get<Ids>()) << text;
    }
  }

  std::filesystem::path path_;
  json cases_;
};

TEST_P(Golden, Ids) { check_ids(must_create({read_file(path_), {}, {}})); }

TEST_P(Golden, IdsWithoutJit) { check_ids(must_create({read_file(path_), {}, {}}, {.jit = false})); }

TEST_P(Golden, IdsAfterSplitting) {
  const auto spec = runtime::split_spec(read_file(path_), path_.string());
  ASSERT_TRUE(spec.ok()) << spec.error().message;
  EXPECT_FALSE(spec->tokens.empty());
  EXPECT_FALSE(spec->merges.empty());
  const auto tokenizer = must_create(*spec);
  EXPECT_EQ(spec->tokens.size(), tokenizer.vocab_size());
  check_ids(tokenizer);
}

TEST_P(Golden, DecodedText) {
  const auto tokenizer = must_create({read_file(path_), {}, {}});
  for (const json& c : cases_)
    EXPECT_EQ(tokenizer.decode(c["ids"].get<Ids>(), false), c["decoded"].get<std::string>());
}

// Pieces are whole characters, never taken back, and together with finish() the text of every prefix.
TEST_P(Golden, Streaming) {
  const auto tokenizer = must_create({read_file(path_), {}, {}});
  for (const json& c : cases_) {
    const auto ids = c["ids"].get<Ids>();
    const std::string whole = tokenizer.decode(ids, false);
    runtime::StreamDecoder stream(tokenizer, false);
    std::string shown;
    for (const auto id : ids) {
      const std::string piece = stream.push(id);
      ASSERT_TRUE(runtime::tokenization::is_valid_utf8(piece));
      shown += piece;
      ASSERT_TRUE(whole.starts_with(shown)) << whole;
    }
    EXPECT_EQ(shown + stream.finish(), whole);
    const std::size_t step = std::max<std::size_t>(1, ids.size() / 100);
    for (std::size_t n = 0; n < ids.size(); n += step) {
      const Ids prefix(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(n));
      EXPECT_EQ(decode_stream(tokenizer, prefix, false), tokenizer.decode(prefix, false));
      EXPECT_EQ(decode_stream(tokenizer, prefix, true), tokenizer.decode(prefix, true));
    }
  }
}

TEST_P(Golden, UserTextYieldsNoSpecialTokens) {
  const auto tokenizer = must_create({read_file(path_), {}, {}});
  const auto unknown = tokenizer.id_of("<unk>");
  for (const json& c : cases_) {
    const auto ids =
        encode(tokenizer, c["text"].get<std::string>(), {.add_special = false, .parse_special = false});
    for (const auto id : ids) EXPECT_TRUE(!tokenizer.is_special(id) || id == unknown) << c["text"];
  }
}

INSTANTIATE_TEST_SUITE_P(, Golden, ::testing::Values("llama3", "llama2", "bitllama2c", "smollm2"),
                         [](const auto& test) { return std::string(test.param); });

}  // namespace
}  // namespace sterna::testing
