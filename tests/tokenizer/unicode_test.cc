#include "runtime/tokenizer/unicode.h"

#include <gtest/gtest.h>

#include <string>

namespace sterna::runtime::tokenization {
namespace {

// Examples of ill-formed text from the Unicode standard, tables 3-8 to 3-11: one U+FFFD for each maximal
// part.
TEST(Utf8, IllFormedPartsBecomeReplacementCharacters) {
  const std::string r = "\xEF\xBF\xBD";
  EXPECT_EQ(to_valid_utf8("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82"
                          "A"),
            r + r + r + r + r + r + r + r + "A");
  EXPECT_EQ(to_valid_utf8("\xED\xA0\x80\xED\xBF\xBF\xED\xAF"
                          "A"),
            r + r + r + r + r + r + r + r + "A");
  EXPECT_EQ(to_valid_utf8("\xF4\x91\x92\x93\xFF"
                          "A\x80\xBF"
                          "B"),
            r + r + r + r + r + "A" + r + r + "B");
  EXPECT_EQ(to_valid_utf8("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF"
                          "A"),
            r + r + r + r + "A");
  EXPECT_EQ(to_valid_utf8("ok \xE3\x81\x82 \xF0\x9F\x98"), "ok あ " + r);
}

TEST(Utf8, ValidityAgreesWithTheRepair) {
  for (const std::string text : {"", "a", "あ😀\xC2\x80", "\xF4\x8F\xBF\xBF"}) {
    EXPECT_TRUE(is_valid_utf8(text)) << text;
    EXPECT_EQ(to_valid_utf8(text), text);
  }
  for (const std::string text :
       {"\x80", "\xC1\x81", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xE3\x81", "a\xFF"}) {
    EXPECT_FALSE(is_valid_utf8(text));
  }
}

TEST(Utf8, CharactersArriveInAnyPortions) {
  const std::string text = "a\xC3\xA9あ😀\xFFz\xE3\x81";
  for (std::size_t size = 1; size <= text.size(); ++size) {
    LossyUtf8 decoder;
    std::string out;
    for (std::size_t i = 0; i < text.size(); i += size)
      decoder.push(std::string_view(text).substr(i, size), out);
    decoder.finish(out);
    EXPECT_EQ(out, to_valid_utf8(text)) << "portions of " << size;
  }
}

TEST(Unicode, Properties) {
  EXPECT_TRUE(is_white_space(0x3000));
  EXPECT_TRUE(is_white_space(0x85));
  EXPECT_FALSE(is_white_space(0x200B));
  EXPECT_FALSE(is_white_space(0x180E));
  EXPECT_TRUE(is_numeric(U'½'));
  EXPECT_TRUE(is_numeric(U'Ⅷ'));
  EXPECT_FALSE(is_numeric(U'一'));
  EXPECT_TRUE(is_punctuation(U'$'));
  EXPECT_TRUE(is_punctuation(U'。'));
  EXPECT_FALSE(is_punctuation(U'€'));
  EXPECT_TRUE(is_word(0x301));
  EXPECT_TRUE(is_word(U'ⓐ'));
  EXPECT_FALSE(is_word(U'²'));
}

TEST(Unicode, NormalForms) {
  EXPECT_EQ(to_normal_form("e\u0301か\u3099", NormalForm::kNfc), "éが");
  EXPECT_EQ(to_normal_form("éが각", NormalForm::kNfd), "e\u0301か\u3099\u1100\u1161\u11a8");
  EXPECT_EQ(to_normal_form("ﬁ①ｶﾞ㍿", NormalForm::kNfkc), "fi1ガ株式会社");
  EXPECT_EQ(to_normal_form("ｶﾞ", NormalForm::kNfkd), "カ\u3099");
  // Marks are ordered by class (U+0323 has 220, U+0307 230) and then composed.
  EXPECT_EQ(to_normal_form("q\u0307\u0323", NormalForm::kNfd), "q\u0323\u0307");
  EXPECT_EQ(to_normal_form("a\u0307\u0323", NormalForm::kNfc), "ạ\u0307");
}

// A sort by exchanging neighbours would need 10^10 steps here.
TEST(Unicode, LongRunsOfMarksTakeNoQuadraticTime) {
  std::string marks = "a";
  std::string sorted = "a";
  for (int i = 0; i < 200'000; ++i) marks += "\u0307\u0323";
  for (int i = 0; i < 200'000; ++i) sorted += "\u0323";
  for (int i = 0; i < 200'000; ++i) sorted += "\u0307";
  EXPECT_TRUE(to_normal_form(marks, NormalForm::kNfd) == sorted);
}

TEST(Unicode, LowerCase) {
  EXPECT_EQ(to_lower("ÀΣİǅ日A"), "àσi\u0307ǆ日a");  // no final sigma: characters are looked at one by one
}

}  // namespace
}  // namespace sterna::runtime::tokenization
