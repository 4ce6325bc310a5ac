#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/tokenizer/small_tokenizer.h"

namespace sterna::testing {
namespace {

using runtime::TextSegment;

Ids encode_all(const runtime::Tokenizer& tokenizer, const std::vector<TextSegment>& segments) {
  auto ids = tokenizer.encode_segments(segments, /*add_special=*/false);
  if (!ids) {
    ADD_FAILURE() << ids.error().message;
    return {};
  }
  return *std::move(ids);
}

// Bytes, and three tokens from 256 on: <s> and </s> are special, <x> is not.
runtime::Tokenizer tokenizer() {
  json pipeline = byte_tokenizer();
  const json special = {{"special", true}};
  pipeline["added_tokens"] = json::array(
      {added_token("<s>", 256, special), added_token("</s>", 257, special), added_token("<x>", 258)});
  return from_json(pipeline);
}

TEST(Segments, WordsJoinAcrossBorders) {
  const auto joined = from_json(plain_tokenizer({"a", "b", "ab"}, {"a b"}));
  EXPECT_EQ(encode_all(joined, {{"a", false}, {"b", true}}), (Ids{2}));
  EXPECT_EQ(encode_all(joined, {}), Ids{});
}

TEST(Segments, SpecialTokensOnlyOfTheTemplatesOwnText) {
  EXPECT_EQ(encode_all(tokenizer(), {{"<s>a", true}, {"<s><x>", false}, {"</s>", true}}),
            (Ids{256, 'a', '<', 's', '>', 258, 257}));
}

// A person cannot complete a special token that the template's text begins, or the other way around.
TEST(Segments, NoSpecialTokenLiesAcrossABorder) {
  EXPECT_EQ(encode_all(tokenizer(), {{"<", true}, {"s>", false}}), (Ids{'<', 's', '>'}));
  EXPECT_EQ(encode_all(tokenizer(), {{"<s", false}, {">", true}}), (Ids{'<', 's', '>'}));
  EXPECT_EQ(encode_all(tokenizer(), {{"<", true}, {"/", false}, {"s>", true}}), (Ids{'<', '/', 's', '>'}));
  EXPECT_EQ(encode_all(tokenizer(), {{"<x", true}, {">", false}}), (Ids{258}));
}

TEST(Segments, CharactersAreRepairedSegmentBySegment) {
  const Ids replacement = {0xEF, 0xBF, 0xBD};
  Ids expected = replacement;
  expected.insert(expected.end(), replacement.begin(), replacement.end());
  EXPECT_EQ(encode_all(tokenizer(), {{"\xC3", true}, {"\xA9", false}}), expected);
}

}  // namespace
}  // namespace sterna::testing
