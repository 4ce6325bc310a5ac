#include <gtest/gtest.h>

#include <string>

#include "tests/tokenizer/small_tokenizer.h"

namespace sterna::testing {
namespace {

runtime::TokenizerSpec split(const json& pipeline) {
  auto spec = runtime::split_spec(pipeline.dump(), "tokenizer.json");
  if (!spec) {
    ADD_FAILURE() << spec.error().message;
    return {};
  }
  return *std::move(spec);
}

TEST(SplitSpec, MovesTheListsOut) {
  json pipeline = plain_tokenizer({"a", "b", "ab"}, {"a b"});
  pipeline["model"]["vocab"]["far"] = 5;
  pipeline["added_tokens"] = json::array({added_token("<s>", 4, {{"special", true}}), added_token("ab", 2)});
  const auto spec = split(pipeline);
  EXPECT_EQ(spec.tokens, (std::vector<std::string>{"a", "b", "ab", "", "<s>", "far"}));
  EXPECT_EQ(spec.merges, (std::vector<std::string>{"a b"}));
  const json rest = json::parse(spec.pipeline);
  EXPECT_FALSE(rest["model"].contains("vocab"));
  EXPECT_FALSE(rest["model"].contains("merges"));
  EXPECT_EQ(rest["added_tokens"], pipeline["added_tokens"]);
  EXPECT_EQ(rest["model"]["vocab_excludes"], json::array({4}));
  const auto tokenizer = must_create(spec);
  EXPECT_EQ(tokenizer.vocab_size(), 6U);
  EXPECT_EQ(tokenizer.token(4), "<s>");
  EXPECT_TRUE(tokenizer.is_special(4));
}

// '*' is an added token only where it stands alone; elsewhere the model does not know it, and drops it.
TEST(SplitSpec, AddedTokensDoNotBecomeLettersOfTheModel) {
  json pipeline = plain_tokenizer({"a"});
  pipeline["added_tokens"] = json::array({added_token("*", 1, {{"single_word", true}})});
  for (const auto& tokenizer : {from_json(pipeline), must_create(split(pipeline))}) {
    EXPECT_EQ(encode(tokenizer, "* a*a"), (Ids{1, 0, 0}));
  }
}

TEST(SplitSpec, AmbiguousMergesStay) {
  json pipeline = byte_tokenizer();
  pipeline["model"]["vocab"] = {{"a", 0}, {" ", 1}, {" a", 2}, {"a a", 3}};
  pipeline["model"]["merges"] = json::array({json::array({" ", "a"}), json::array({"a", " a"})});
  pipeline["pre_tokenizer"] = nullptr;
  pipeline["decoder"] = {{"type", "Fuse"}};
  const auto spec = split(pipeline);
  EXPECT_TRUE(spec.merges.empty());
  EXPECT_EQ(json::parse(spec.pipeline)["model"]["merges"], pipeline["model"]["merges"]);
  EXPECT_EQ(encode(must_create(spec), "a a a"), (Ids{3, 2}));
}

TEST(SplitSpec, AnEmptyTokenKeepsTheVocabularyInPlace) {
  const json pipeline = plain_tokenizer({"a", "", "b"});
  const auto spec = split(pipeline);
  EXPECT_TRUE(spec.tokens.empty());
  EXPECT_EQ(json::parse(spec.pipeline)["model"]["vocab"], pipeline["model"]["vocab"]);
  EXPECT_EQ(encode(must_create(spec), "ab"), (Ids{0, 2}));
}

TEST(SplitSpec, SplittingAgainChangesNothing) {
  const json pipeline = byte_tokenizer();  // without merges
  const auto spec = split(pipeline);
  EXPECT_EQ(spec.tokens.size(), 256U);
  EXPECT_EQ(encode(must_create(spec), "hi\n"), (Ids{'h', 'i', '\n'}));
}

TEST(SplitSpec, Errors) {
  EXPECT_FALSE(runtime::split_spec("{", "t").ok());
  EXPECT_FALSE(runtime::split_spec("{}", "t").ok());
  EXPECT_FALSE(runtime::split_spec(R"({"model": {"type": "Unigram", "vocab": [["a", 0.5]]}})", "t").ok());
  json pipeline = byte_tokenizer();
  pipeline["added_tokens"] = json::array({added_token("<s>", 97)});
  const auto spec = runtime::split_spec(pipeline.dump(), "t");
  ASSERT_FALSE(spec.ok());
  EXPECT_NE(spec.error().message.find("t: added_tokens: '<s>' has the id 97 of 'a'"), std::string::npos);
}

}  // namespace
}  // namespace sterna::testing
