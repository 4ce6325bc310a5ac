// Expected texts: Hugging Face tokenizers 0.23.
#include "runtime/tokenizer/normalizer.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/tokenizer/small_tokenizer.h"

namespace sterna::testing {
namespace {

using runtime::tokenization::NormalizedText;
using runtime::tokenization::parse_normalizer;
using runtime::tokenization::RegexScratch;

std::string normalized(const json& component, const std::string& text) {
  const auto normalizer = parse_normalizer(field_of(component));
  if (!normalizer) return normalizer.error().message;
  RegexScratch scratch(text.size());
  NormalizedText result{text, true};
  const Status done = (*normalizer)->apply(result, scratch);
  return done.ok() ? result.text : done.error().message;
}

json replace(const json& pattern, const char* content) {
  return {{"type", "Replace"}, {"pattern", pattern}, {"content", content}};
}

TEST(Normalizer, Components) {
  EXPECT_EQ(normalized({{"type", "Prepend"}, {"prepend", "▁"}}, "a"), "▁a");
  EXPECT_EQ(normalized({{"type", "Prepend"}, {"prepend", "▁"}}, ""), "");
  EXPECT_EQ(normalized(replace({{"String", " "}}, "▁"), " a  b"), "▁a▁▁b");
  EXPECT_EQ(normalized(replace({{"String", ""}}, "-"), "あb"), "-あ-b-");
  EXPECT_EQ(normalized(replace({{"Regex", " {2,}"}}, " "), "a    b c"), "a b c");
  EXPECT_EQ(normalized(replace({{"Regex", "(l)(e)"}}, "$1 $2"), "le"), "$1 $2");  // no references to groups
  EXPECT_EQ(normalized({{"type", "Strip"}, {"strip_left", true}, {"strip_right", false}}, "\u3000 a "), "a ");
  EXPECT_EQ(normalized({{"type", "Strip"}, {"strip_left", false}, {"strip_right", true}}, " a \u3000"), " a");
  EXPECT_EQ(normalized({{"type", "Strip"}, {"strip_left", true}, {"strip_right", true}}, " \n "), "");
  EXPECT_EQ(normalized({{"type", "Lowercase"}}, "ÄB"), "äb");
  EXPECT_EQ(normalized({{"type", "NFKC"}}, "ｶﾞ①"), "ガ1");
}

TEST(Normalizer, SequencesApplyInOrder) {
  const json sequence = {
      {"type", "Sequence"},
      {"normalizers", json::array({json{{"type", "Prepend"}, {"prepend", "A "}}, json{{"type", "Lowercase"}},
                                   replace({{"String", " "}}, "_")})}};
  EXPECT_EQ(normalized(sequence, "B c"), "a_b_c");
}

}  // namespace
}  // namespace sterna::testing
