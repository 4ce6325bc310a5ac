// Expected ids: Hugging Face tokenizers 0.23, except where parse_special is off, which it does not have.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/tokenizer/small_tokenizer.h"

namespace sterna::testing {
namespace {

constexpr runtime::Tokenizer::EncodeOptions kUserText{true, false};
constexpr runtime::Tokenizer::EncodeOptions kParsed{true, true};

json with_added(const std::vector<json>& added, const json& normalizer = nullptr) {
  json pipeline = byte_tokenizer();
  pipeline["added_tokens"] = added;
  pipeline["normalizer"] = normalizer;
  return pipeline;
}

// One letter or digit of a token stands for itself, tokens from 256 on for <id>.
std::string shown(const Ids& ids) {
  std::string out;
  for (const auto id : ids) out += id < 256 ? std::string(1, static_cast<char>(id)) : fmt::format("<{}>", id);
  return out;
}

const json kSpecial = {{"special", true}};

TEST(AddedTokens, SpecialTokensInUserTextStayText) {
  const auto tokenizer = from_json(with_added({added_token("<s>", 256, kSpecial), added_token("<x>", 257)}));
  EXPECT_EQ(shown(encode(tokenizer, "a<s>b<x>", kParsed)), "a<256>b<257>");
  EXPECT_EQ(shown(encode(tokenizer, "a<s>b<x>", kUserText)), "a<s>b<257>");
}

TEST(AddedTokens, ModelsThatKnowSpecialTokensDoNotMakeThemOfUserText) {
  json pipeline = plain_tokenizer({"<", "s", ">", "<s", "<s>"}, {"< s", "<s >"});
  pipeline["added_tokens"] = json::array({added_token("<s>", 4, kSpecial)});
  for (const bool whole_words : {false, true}) {
    pipeline["model"]["ignore_merges"] = whole_words;
    const auto tokenizer = from_json(pipeline);
    EXPECT_EQ(encode(tokenizer, "<s>", kParsed), (Ids{4}));
    EXPECT_EQ(encode(tokenizer, "<s>", kUserText), (Ids{3, 2}));
  }
}

TEST(AddedTokens, TheLongestOneWins) {
  const auto tokenizer = from_json(
      with_added({added_token("<a", 256), added_token("<ab>", 257, kSpecial), added_token("<ab", 258)}));
  EXPECT_EQ(shown(encode(tokenizer, "<a <ab <ab>", kParsed)), "<256> <258> <257>");
  EXPECT_EQ(shown(encode(tokenizer, "<ab>", kUserText)), "<258>>");
}

TEST(AddedTokens, StripTakesWhiteSpaceAlong) {
  const auto left = from_json(with_added({added_token("[M]", 256, {{"lstrip", true}})}));
  EXPECT_EQ(shown(encode(left, "a \n[M] b")), "a<256> b");
  EXPECT_EQ(shown(encode(left, "a\u3000[M][M]")), "a<256><256>");
  const auto right = from_json(with_added({added_token("[M]", 256, {{"rstrip", true}})}));
  EXPECT_EQ(shown(encode(right, "a [M] \u2003b [M] ")), "a <256>b <256>");
}

TEST(AddedTokens, SingleWords) {
  const auto tokenizer = from_json(with_added({added_token("ab", 256, {{"single_word", true}})}));
  EXPECT_EQ(shown(encode(tokenizer, "ab, (ab) xab abx ab_ ab")), "<256>, (<256>) xab abx ab_ <256>");
  EXPECT_EQ(encode(tokenizer, "語ab").size(), 5U);
}

TEST(AddedTokens, NormalizedTokensMatchNormalizedText) {
  const json lower = {{"type", "Lowercase"}};
  const auto tokenizer =
      from_json(with_added({added_token("Ab", 256, {{"normalized", true}}), added_token("Cd", 257)}, lower));
  EXPECT_EQ(shown(encode(tokenizer, "ab AB Cd CD")), "<256> <256> <257> cd");
  // Decoding starts from the normalized form, since tokenizers 0.23.
  EXPECT_EQ(tokenizer.decode(Ids{256, 257}, false), "abCd");
  EXPECT_EQ(tokenizer.token(256), "Ab");
}

TEST(AddedTokens, EverySectionIsNormalizedByItself) {
  const json prepend = {{"type", "Prepend"}, {"prepend", "_"}};
  const auto tokenizer = from_json(with_added({added_token("<s>", 256, kSpecial)}, prepend));
  EXPECT_EQ(shown(encode(tokenizer, "a<s>b<s>", kParsed)), "_a<256>_b<256>");
}

TEST(AddedTokens, IdsAndSizes) {
  const auto tokenizer = from_json(with_added({added_token("<s>", 300, kSpecial), added_token("Ġ", 32)}));
  EXPECT_EQ(tokenizer.vocab_size(), 301U);
  EXPECT_EQ(tokenizer.id_of("<s>"), 300);
  EXPECT_EQ(tokenizer.id_of("Ġ"), 32);
  EXPECT_EQ(tokenizer.id_of("nothing"), std::nullopt);
  EXPECT_TRUE(tokenizer.is_special(300));
  EXPECT_FALSE(tokenizer.is_special(32));
  for (const runtime::TokenId id : {-1, 256, 299, 301, 1 << 30}) {
    EXPECT_EQ(tokenizer.token(id), "") << id;
    EXPECT_FALSE(tokenizer.is_special(id)) << id;
  }
  EXPECT_EQ(tokenizer.decode(Ids{-5, 72, 299, 1 << 30, 300, 105}, true), "Hi");
  EXPECT_EQ(tokenizer.decode(Ids{72, 300}, false), "H<s>");
}

// A million matches that all look back or ahead over the same white space would take 10^12 steps.
TEST(AddedTokens, WhiteSpaceTokensTakeNoQuadraticTime) {
  const std::string spaces(1 << 20, ' ');
  const auto tokenizer = from_json(with_added({added_token(" ", 256, {{"lstrip", true}, {"rstrip", true}})}));
  EXPECT_EQ(encode(tokenizer, spaces).size(), spaces.size());
  const auto other = from_json(with_added({added_token("  ", 256, {{"lstrip", true}})}));
  EXPECT_EQ(encode(other, "a" + spaces).size(), 1 + spaces.size() / 2);
}

}  // namespace
}  // namespace sterna::testing
