// What a user reads when a template or its variables are at fault.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/chat_template/support.h"

namespace sterna::runtime {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

const Json kNothing = Json::object();

TEST(ChatTemplateErrors, NameTheTemplateAndTheLine) {
  const auto parsed = ChatTemplate::parse("a\n\n{{ x | foo }}", "tokenizer_config.json");
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().message, "chat template (tokenizer_config.json), line 3: unknown filter 'foo'");
  EXPECT_EQ(render("{% if 1 %}\n{{ none.x.y }}\n{% endif %}", kNothing),
            "error: chat template (test), line 2: none has no attribute 'x'");
  EXPECT_EQ(render("\n{% for x in [1,\n 0] %}{{ 1\n // x }}{% endfor %}", kNothing),
            "error: chat template (test), line 4: division by zero");
}

TEST(ChatTemplateErrors, RaiseExceptionSpeaksForTheTemplate) {
  EXPECT_EQ(render("{{ raise_exception('System role not supported') }}", kNothing),
            "error: System role not supported");
  EXPECT_EQ(render("{{ raise_exception('two\\nlines') }}", kNothing), "error: two lines");
  EXPECT_EQ(render("{{ raise_exception('') }}", kNothing),
            "error: the chat template refuses these messages and does not say why");
}

TEST(ChatTemplateErrors, Syntax) {
  const auto message = [](const std::string& source) { return render(source, kNothing); };
  EXPECT_THAT(message("{% if x %}"),
              HasSubstr("line 1: the template ends where 'elif' or 'else' or 'endif' is expected"));
  EXPECT_THAT(message("{% for x in y %}{% endif %}"),
              HasSubstr("unknown or unsupported tag 'endif'; the block that is "
                        "open here ends with 'endfor' or 'else'"));
  EXPECT_THAT(message("{% include 'other' %}"), HasSubstr("unknown or unsupported tag 'include'"));
  EXPECT_THAT(message("{{ 1 + }}"), HasSubstr("unexpected '}}'"));
  EXPECT_THAT(message("{{ (1 }}"), HasSubstr("unexpected '}', expected ')'"));
  EXPECT_THAT(message("{{ a b }}"), HasSubstr("expected '}}', got 'b'"));
  EXPECT_THAT(message("{{ 'abc }}"), HasSubstr("a string is not closed"));
  EXPECT_THAT(message("{# abc"), HasSubstr("a comment is not closed"));
  EXPECT_THAT(message("{% raw %}abc"), HasSubstr("a raw block is not closed"));
  EXPECT_THAT(message("{% set 1 = 2 %}"), HasSubstr("cannot assign to a number"));
  EXPECT_THAT(message("{% break %}"), HasSubstr("break and continue belong in a loop"));
  EXPECT_THAT(message("{{ x is nosuch }}"), HasSubstr("unknown test 'nosuch'"));
  EXPECT_THAT(message("{{ 99999999999999999999 }}"), HasSubstr("does not fit 64 bits"));
}

TEST(ChatTemplateErrors, AnUnknownFilterBehindAConditionMattersOnlyWhenReached) {
  EXPECT_EQ(render("{% if x %}{{ 1 | nosuch }}{% endif %}ok", kNothing), "ok");
  EXPECT_THAT(render("{% if not x %}{{ 1 | nosuch }}{% endif %}ok", kNothing),
              HasSubstr("unknown filter 'nosuch'"));
}

TEST(ChatTemplateErrors, Operations) {
  const auto message = [](const std::string& source) { return render("{{ " + source + " }}", kNothing); };
  EXPECT_THAT(message("nobody + 1"), HasSubstr("'nobody' is undefined"));
  EXPECT_THAT(message("nobody.x"), HasSubstr("'nobody' is undefined"));
  EXPECT_THAT(message("'a' + 1"), HasSubstr("'+' is not supported between 'str' and 'int'"));
  EXPECT_THAT(message("'a' < 1"), HasSubstr("'<' is not supported between 'str' and 'int'"));
  EXPECT_THAT(message("[1].append(2)"),
              HasSubstr("'append' would change a list, which a chat template must not do"));
  EXPECT_THAT(message("{}.update({})"), HasSubstr("'update' would change a dict"));
  EXPECT_THAT(message("[1] | map('upper') | length"), HasSubstr("has no length; make it a list first"));
  EXPECT_THAT(message("9223372036854775807 + 1"), HasSubstr("does not fit an integer of 64 bits"));
  EXPECT_THAT(message("{[]: 1}"), HasSubstr("a list cannot be the key of a dict"));
  EXPECT_THAT(message("range(200000)"), HasSubstr("a range of 200000 elements is too large"));
  EXPECT_THAT(message("{1: nobody} | tojson"),
              HasSubstr("a value of type Undefined cannot be written as JSON"));
}

TEST(ChatTemplateErrors, AreOneShortLineWhateverTheyQuote) {
  const std::string message =
      render("{{ x['" + std::string(100'000, 'a') + "'].y }}{# \x01 #}", {{"x", Json::object()}});
  EXPECT_THAT(message, StartsWith("error: chat template (test), line 1: a dict has no attribute 'aaa"));
  EXPECT_LT(message.size(), 200U);
  EXPECT_THAT(render("{{ \x01 }}", kNothing), Not(HasSubstr("\x01")));
}

TEST(ChatTemplateErrors, Variables) {
  const auto message = [](const Json& context) { return render("{{ messages }}", context); };
  EXPECT_THAT(message(Json::array()), HasSubstr("the variables must be a JSON object"));
  EXPECT_THAT(message({{"messages", {{{"role", "user"}, {"content", "ab\xff"}}}}}),
              HasSubstr("the variable messages[0].content is not valid UTF-8 at byte 2"));
  Json deep = 1;
  for (int i = 0; i < 300; ++i) deep = Json::array({deep});
  EXPECT_THAT(message({{"deep", deep}}), HasSubstr("is nested too deeply"));
}

TEST(ChatTemplateErrors, Source) {
  EXPECT_THAT(render("a\xff", kNothing), HasSubstr("not valid UTF-8 at byte 1"));
  EXPECT_THAT(render(std::string((1U << 20U) + 1, ' '), kNothing),
              HasSubstr("1048577 bytes of source, the limit is 1048576"));
}

}  // namespace
}  // namespace sterna::runtime
