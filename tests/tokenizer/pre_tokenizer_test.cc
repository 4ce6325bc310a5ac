// Expected pieces: Hugging Face tokenizers 0.23.
#include "runtime/tokenizer/pre_tokenizer.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/tokenizer/small_tokenizer.h"

namespace sterna::testing {
namespace {

using runtime::tokenization::parse_pre_tokenizer;
using runtime::tokenization::PreTokenizedText;
using runtime::tokenization::RegexScratch;

std::string pieces(const json& component, const std::string& text, bool at_origin = true) {
  const auto pre_tokenizer = parse_pre_tokenizer(field_of(component));
  if (!pre_tokenizer) return pre_tokenizer.error().message;
  RegexScratch scratch(text.size());
  PreTokenizedText words{text, {{0, text.size()}}, at_origin};
  if (const Status done = (*pre_tokenizer)->apply(words, scratch); !done) return done.error().message;
  std::vector<std::string_view> out;
  for (const auto span : words.pieces) out.push_back(words.piece(span));
  return fmt::format("{}", fmt::join(out, "|"));
}

json split(const char* behavior, bool invert = false, const json& pattern = {{"String", "-"}}) {
  return {{"type", "Split"}, {"pattern", pattern}, {"behavior", behavior}, {"invert", invert}};
}

TEST(PreTokenizer, SplitBehaviors) {
  EXPECT_EQ(pieces(split("Removed"), "the-final--countdown"), "the|final|countdown");
  EXPECT_EQ(pieces(split("Isolated"), "the-final--countdown"), "the|-|final|-|-|countdown");
  EXPECT_EQ(pieces(split("MergedWithPrevious"), "the-final--countdown"), "the-|final-|-|countdown");
  EXPECT_EQ(pieces(split("MergedWithNext"), "the-final--countdown"), "the|-final|-|-countdown");
  EXPECT_EQ(pieces(split("Contiguous"), "the-final--countdown"), "the|-|final|--|countdown");
}

TEST(PreTokenizer, SplitInverted) {
  const json words = {{"Regex", "\\w+"}};
  EXPECT_EQ(pieces(split("Removed", true, words), "a b, c"), "a|b|c");
  EXPECT_EQ(pieces(split("Removed", false, words), "a b, c"), " |, ");
}

TEST(PreTokenizer, Digits) {
  const auto digits = [](bool individual) {
    return json{{"type", "Digits"}, {"individual_digits", individual}};
  };
  EXPECT_EQ(pieces(digits(true), "a12½ ３4b"), "a|1|2|½| |３|4|b");
  EXPECT_EQ(pieces(digits(false), "a12½ ３4b"), "a|12½| |３4|b");
}

TEST(PreTokenizer, ByteLevel) {
  const auto byte_level = [](bool prefix, bool regex) {
    return json{{"type", "ByteLevel"}, {"add_prefix_space", prefix}, {"use_regex", regex}};
  };
  EXPECT_EQ(pieces(byte_level(false, true), "Hello my friend's  é!\n"), "Hello|Ġmy|Ġfriend|'s|Ġ|ĠÃ©|!|Ċ");
  EXPECT_EQ(pieces(byte_level(true, true), "Hello"), "ĠHello");
  EXPECT_EQ(pieces(byte_level(true, false), " Hello you"), "ĠHelloĠyou");
}

TEST(PreTokenizer, Metaspace) {
  const auto metaspace = [](const char* scheme, bool split_too) {
    return json{
        {"type", "Metaspace"}, {"replacement", "▁"}, {"prepend_scheme", scheme}, {"split", split_too}};
  };
  EXPECT_EQ(pieces(metaspace("always", true), "Hey  my friend"), "▁Hey|▁|▁my|▁friend");
  EXPECT_EQ(pieces(metaspace("always", false), "Hey my"), "▁Hey▁my");
  EXPECT_EQ(pieces(metaspace("always", true), " Hey"), "▁Hey");
  EXPECT_EQ(pieces(metaspace("never", true), "Hey my"), "Hey|▁my");
  EXPECT_EQ(pieces(metaspace("first", true), "Hey my"), "▁Hey|▁my");
  EXPECT_EQ(pieces(metaspace("first", true), "Hey my", /*at_origin=*/false), "Hey|▁my");
  EXPECT_EQ(pieces({{"type", "Metaspace"}, {"replacement", "_"}, {"add_prefix_space", false}}, "a b"),
            "a|_b");
}

TEST(PreTokenizer, WordsAndPunctuation) {
  EXPECT_EQ(pieces({{"type", "Whitespace"}}, "Hey, my_friend!?\u3000e\u0301 x"),
            "Hey|,|my_friend|!?|e\u0301|x");
  EXPECT_EQ(pieces({{"type", "WhitespaceSplit"}}, " Hey,  you\u00a0!"), "Hey,|you|!");
  EXPECT_EQ(pieces({{"type", "Punctuation"}}, "a,b!?c"), "a|,|b|!|?|c");
  EXPECT_EQ(pieces({{"type", "Punctuation"}, {"behavior", "Contiguous"}}, "a,b!?c"), "a|,|b|!?|c");
}

TEST(PreTokenizer, SequencesApplyInOrder) {
  const json sequence = {
      {"type", "Sequence"},
      {"pretokenizers",
       json::array({json{{"type", "WhitespaceSplit"}},
                    json{{"type", "Metaspace"}, {"replacement", "▁"}, {"prepend_scheme", "first"}}})}};
  EXPECT_EQ(pieces(sequence, "a b"), "▁a|b");
  EXPECT_EQ(pieces(sequence, " a b"), "a|b");  // the first word does not begin where the input begins
}

}  // namespace
}  // namespace sterna::testing
