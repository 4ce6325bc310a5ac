#include "runtime/tokenizer/regex.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "runtime/tokenizer/oniguruma.h"

namespace sterna::runtime::tokenization {
namespace {

// The matches, each in parentheses, within the text. Expected values are what Oniguruma 6.9 finds.
std::string marked(std::string_view expression, std::string_view text, bool jit = true) {
  auto regex = Regex::compile(expression, jit);
  if (!regex) return regex.error().message;
  RegexScratch scratch(text.size());
  std::vector<Span> matches;
  if (const Status found = regex->find_all(text, scratch, matches); !found) return found.error().message;
  std::string out;
  std::size_t from = 0;
  for (const Span match : matches) {
    out += fmt::format("{}({})", text.substr(from, match.begin - from),
                       text.substr(match.begin, match.end - match.begin));
    from = match.end;
  }
  out += text.substr(from);
  return out;
}

TEST(Regex, OnigurumaClasses) {
  EXPECT_EQ(marked(R"(\s)",
                   "a\u180eb\u200bc\u0085d\x1c"
                   "e\u3000"),
            "a\u180eb\u200bc(\u0085)d\x1c"
            "e(\u3000)");
  EXPECT_EQ(marked(R"(\w+)", "e\u0301_²⑴ⓐ‿Ⅳ"), "(e\u0301_²)⑴(ⓐ‿Ⅳ)");
  EXPECT_EQ(marked(R"([\w]+)", "a²b"), "(a)²(b)");
  EXPECT_EQ(marked(R"(\h+)", "xyzab9"), "xyz(ab9)");
  EXPECT_EQ(marked(R"(\v)", "\x0b\n"), "(\x0b)\n");
  EXPECT_EQ(marked(R"([a-z&&[^aeiou]]+)", "hello"), "(h)e(ll)o");
  EXPECT_EQ(marked(R"([^a-c&&[^x]]+)", "abxdc"), "ab(xd)c");
  EXPECT_EQ(marked(R"([a[0-9]]+)", "xa9b"), "x(a9)b");
  EXPECT_EQ(marked(R"([\W_]+)", "ab_ 1"), "ab(_ )1");
  EXPECT_EQ(marked(R"([^\W\d]+)", "a1b"), "(a)1(b)");
  EXPECT_EQ(marked(R"([]^-]+)", "a]^-"), "a(]^-)");
}

TEST(Regex, OnigurumaProperties) {
  EXPECT_EQ(marked(R"(\p{Han}+)", "漢字かな〇々ー"),
            "(漢字)かな(〇々)ー");  // 'ー' is Common, extended to Kana only
  EXPECT_EQ(marked(R"(\p{^Han}+)", "漢字かな"), "漢字(かな)");
  EXPECT_EQ(marked(R"(\P{Hiragana}+)", "漢字かな"), "(漢字)かな");
  EXPECT_EQ(marked(R"(\p{Letter}+)", "ab1"), "(ab)1");
  EXPECT_EQ(marked(R"([[:punct:]]+)", "a$!😀b"), "a($!😀)b");
  EXPECT_EQ(marked(R"(\p{Punct}+)", "a$!b"), "a$(!)b");
  EXPECT_NE(marked(R"(\p{Nonsense})", "a").find("not valid"), std::string::npos);
}

TEST(Regex, OnigurumaRepeats) {
  EXPECT_EQ(marked(R"(\d{1,3}+)", "12345678"), "(12345678)");  // not possessive: the group is repeated
  EXPECT_EQ(marked(R"((?:ab){2}+)", "ababababab"), "(abababab)ab");
  EXPECT_EQ(marked(R"(a{,2})", "aaab"), "(aa)(a)b()");
  EXPECT_EQ(marked(R"(a{x})", "a{x}"), "(a{x})");
  EXPECT_EQ(marked(R"(\d++1)", "1111"), "1111");
}

TEST(Regex, OnigurumaAnchorsFlagsAndCodes) {
  EXPECT_EQ(marked(R"(^.)", "ab\ncd\n"), "(a)b\n(c)d\n");
  EXPECT_EQ(marked(R"(.$)", "ab\ncd"), "a(b)\nc(d)");
  EXPECT_EQ(marked(R"((?m:a.b))", "a\nb"), "(a\nb)");
  EXPECT_EQ(marked(R"((?i:'s))", "'S 'ſ"), "('S) ('ſ)");
  EXPECT_EQ(marked(R"(\u3042|\x{41}|\x42)", "あABC"), "(あ)(A)(B)C");
  EXPECT_EQ(marked(R"(\bt\w)", "to stop 'th"), "(to) stop '(th)");
  EXPECT_EQ(marked(R"(\Qa)", "Qa"), "(Qa)");
  EXPECT_EQ(marked("", "aあ"), "()a()あ()");
}

TEST(Regex, TheExpressionsOfLanguageModels) {
  const std::string llama3 =
      R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  for (const bool jit : {true, false}) {
    EXPECT_EQ(marked(llama3, "I'LL pay 12345 yen!!\n\n  日本語です。 ok  ", jit),
              "(I)('LL)( pay)( )(123)(45)( yen)(!!\n\n)( )( 日本語です)(。)( ok)(  )");
  }
}

TEST(Regex, WhatPcre2AloneKnowsIsRefused) {
  for (const char* expression : {"(*UTF)a", "(*LIMIT_MATCH=1)a", "(?R)", "(?C1)a", "(?|a)", R"(\g<0>)",
                                 R"(\X)", "(?~a)", "(", "[a", "a**", "\\"}) {
    EXPECT_FALSE(Regex::compile(expression, true).ok()) << expression;
  }
}

TEST(Regex, DeepAndLongExpressionsEndInAnError) {
  EXPECT_FALSE(Regex::compile(std::string(100'000, 'a'), true).ok());
  EXPECT_FALSE(Regex::compile(std::string(20'000, '[') + std::string(20'000, ']'), true).ok());
  EXPECT_FALSE(Regex::compile(std::string(20'000, '(') + std::string(20'000, ')'), true).ok());
  EXPECT_FALSE(Regex::compile("((a{999}){999}){999}", true).ok());
}

// Without limits: 2^40 steps; 10^12 steps, since each match looks at the whole rest of the text; 10^12 steps,
// since one match does that again and again.
TEST(Regex, HostileExpressionsEndInAnErrorInTime) {
  for (const char* expression : {"(a|aa)+[^a]", "(?=a*+[^a])?a", "(?:a*+[^a]|a)*+[^a]"}) {
    for (const bool jit : {true, false}) {
      const auto regex = Regex::compile(expression, jit);
      ASSERT_TRUE(regex.ok()) << regex.error().message;
      RegexScratch scratch(std::chrono::milliseconds(200));
      std::vector<Span> matches;
      const auto start = std::chrono::steady_clock::now();
      const Status found = regex->find_all(std::string(1'000'000, 'a'), scratch, matches);
      ASSERT_FALSE(found.ok()) << expression;
      EXPECT_NE(found.error().message.find("takes too much work"), std::string::npos);
      EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20)) << expression;
    }
  }
  EXPECT_NE(marked("(a|aa)+[^a]", std::string(60, 'a')).find("takes too much work"), std::string::npos);
}

// A match as long as the text needs no stack, and no step limit that short texts would not meet.
TEST(Regex, LongMatchesAreFine) {
  const std::string spaces(1 << 20, ' ');
  for (const bool jit : {true, false}) {
    EXPECT_EQ(marked(R"(\s*[\r\n]+|\s+(?!\S)|\s+)", spaces + "a", jit),
              fmt::format("({})( )a", spaces.substr(1)));
    EXPECT_EQ(marked(R"((?:ab|a)+)", std::string(100'000, 'a'), jit),
              fmt::format("({})", std::string(100'000, 'a')));
  }
}

}  // namespace
}  // namespace sterna::runtime::tokenization
