#include "runtime/tokenizer/bpe.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/tokenizer/small_tokenizer.h"

namespace sterna::testing {
namespace {

using runtime::tokenization::Bpe;
using runtime::tokenization::BpeScratch;
using runtime::tokenization::MergeList;
using runtime::tokenization::TokenList;
using runtime::tokenization::Vocabulary;

// The tokens of a text, with '|' between them.
std::string pieces(const runtime::Tokenizer& tokenizer, std::string_view text) {
  std::vector<std::string_view> tokens;
  for (const auto id : encode(tokenizer, text)) tokens.push_back(tokenizer.token(id));
  return fmt::format("{}", fmt::join(tokens, "|"));
}

TEST(Bpe, TheLowestRankIsMergedFirst) {
  const auto tokenizer =
      from_json(plain_tokenizer({"a", "b", "c", "ab", "bc", "abc"}, {"b c", "a b", "ab c"}));
  EXPECT_EQ(pieces(tokenizer, "abc"), "a|bc");
  EXPECT_EQ(pieces(tokenizer, "ababc"), "ab|a|bc");
}

TEST(Bpe, EqualRanksAreMergedFromTheLeft) {
  const auto tokenizer = from_json(plain_tokenizer({"a", "aa", "aaa"}, {"a a", "a aa"}));
  EXPECT_EQ(pieces(tokenizer, "aaa"), "aa|a");
  EXPECT_EQ(pieces(tokenizer, "aaaaa"), "aa|aa|a");
  const auto other = from_json(plain_tokenizer({"a", "aa", "aaa"}, {"a a", "aa a"}));
  EXPECT_EQ(pieces(other, "aaaaa"), "aa|aaa");
}

// After "l l" and "e l" were queued, merging one makes the other stale: its left or right symbol is gone.
TEST(Bpe, CandidatesWhoseSymbolsAreGoneDoNothing) {
  const auto tokenizer =
      from_json(plain_tokenizer({"h", "e", "l", "o", "ll", "el", "ello", "llo"}, {"l l", "e l", "ll o"}));
  EXPECT_EQ(pieces(tokenizer, "hello"), "h|e|llo");
  EXPECT_EQ(pieces(tokenizer, "elelll"), "el|e|ll|l");
}

TEST(Bpe, AMergeListedTwiceCountsWithItsLaterRank) {
  const auto tokenizer = from_json(plain_tokenizer({"a", "b", "c", "ab", "bc"}, {"a b", "b c", "a b"}));
  EXPECT_EQ(pieces(tokenizer, "abc"), "a|bc");
}

TEST(Bpe, UnknownCharacters) {
  json model = plain_tokenizer({"<unk>", "a"});
  EXPECT_EQ(pieces(from_json(model), "a日b"), "a");  // no unk_token: dropped
  model["model"]["unk_token"] = "<unk>";
  EXPECT_EQ(pieces(from_json(model), "xya日"), "<unk>|<unk>|a|<unk>");
  model["model"]["fuse_unk"] = true;
  EXPECT_EQ(pieces(from_json(model), "xya日"), "<unk>|a|<unk>");
  model["model"]["unk_token"] = "<missing>";
  const auto tokenizer = from_json(model);
  EXPECT_EQ(pieces(tokenizer, "aa"), "a|a");
  const auto failed = tokenizer.encode("ab");
  ASSERT_FALSE(failed.ok());
  EXPECT_NE(failed.error().message.find("<missing>"), std::string::npos);
}

TEST(Bpe, ByteFallbackNeedsEveryByteOfTheCharacter) {
  json model = plain_tokenizer({"<unk>", "a", "<0xC3>", "<0xA9>"});
  model["model"]["unk_token"] = "<unk>";
  model["model"]["byte_fallback"] = true;
  EXPECT_EQ(pieces(from_json(model), "aéaè"), "a|<0xC3>|<0xA9>|a|<unk>");
  // As in Hugging Face tokenizers, bytes overtake a waiting unknown token.
  EXPECT_EQ(pieces(from_json(model), "xéa"), "<0xC3>|<0xA9>|<unk>|a");
}

TEST(Bpe, IgnoreMergesTakesWholeWords) {
  json model = plain_tokenizer({"a", "b", "ab", "aba"}, {"a b"});
  EXPECT_EQ(pieces(from_json(model), "aba"), "ab|a");
  model["model"]["ignore_merges"] = true;
  EXPECT_EQ(pieces(from_json(model), "aba"), "aba");
  EXPECT_EQ(pieces(from_json(model), "abab"), "ab|ab");
}

TEST(Bpe, MergesInBothSpellings) {
  json model = plain_tokenizer({"a", " b", "a b"});
  model["model"]["merges"] = json::array({json::array({"a", " b"})});
  const auto tokenizer = from_json(model);
  EXPECT_EQ(tokenizer.vocab_size(), 3U);
  model["model"]["merges"] = json::array({"a  b"});
  EXPECT_FALSE(runtime::Tokenizer::create({model.dump(), {}, {}}, "test").ok());
}

// Every merge puts at most two candidates into the queue, and there are at most n - 1 of either at the
// beginning.
TEST(Bpe, TheWorkIsLinearInQueueEntries) {
  TokenList tokens;
  MergeList merges;
  std::string token = "a";
  tokens.add(token, 0);
  for (runtime::TokenId id = 1; id <= 12; ++id) {
    merges.add(token, token);
    token += token;
    tokens.add(token, id);
  }
  auto vocabulary = Vocabulary::create(tokens, "test");
  ASSERT_TRUE(vocabulary.ok());
  const auto bpe = Bpe::create(*std::move(vocabulary), merges, {}, "test");
  ASSERT_TRUE(bpe.ok());
  for (const std::size_t n : {1000U, 100'000U, (1U << 20U) + 5U}) {
    BpeScratch scratch;
    Ids ids;
    ASSERT_TRUE(bpe->tokenize(std::string(n, 'a'), true, scratch, ids).ok());
    EXPECT_LE(scratch.queue_pops, 3 * n);
    std::size_t length = 0;
    for (const auto id : ids) length += std::size_t{1} << static_cast<unsigned>(id);
    EXPECT_EQ(length, n);
  }
}

}  // namespace
}  // namespace sterna::testing
