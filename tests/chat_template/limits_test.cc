// Templates come from strangers: whatever they do ends soon, in bounded memory, with an error.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "tests/chat_template/support.h"

namespace sterna::runtime {
namespace {

using ::testing::HasSubstr;

std::string times(const std::string& text, int count) {
  std::string result;
  for (int i = 0; i < count; ++i) result += text;
  return result;
}

std::string run(const std::string& source) { return render(source, Json::object()); }

TEST(ChatTemplateLimits, DeepNestingIsAnErrorAndNoStackOverflow) {
  constexpr int kDeep = 50'000;
  const std::vector<std::string> sources = {
      "{{ " + times("(", kDeep) + "1" + times(")", kDeep) + " }}",
      "{{ " + times("[", kDeep) + times("]", kDeep) + " }}",
      "{{ " + times("{1:", kDeep) + "1" + times("}", kDeep) + " }}",
      "{{ " + times("not ", kDeep) + "1 }}",
      "{{ " + times("-", kDeep) + "1 }}",
      "{{ " + times("1 if 1 else ", kDeep) + "1 }}",
      "{{ a" + times("[a", kDeep) + times("]", kDeep) + " }}",
      "{{ " + times("f(", kDeep) + times(")", kDeep) + " }}",
      "{% set " + times("(", kDeep) + "a" + times(")", kDeep) + " = 1 %}",
      times("{% if 1 %}", kDeep),
      times("{% for x in y %}", kDeep),
  };
  for (const std::string& source : sources)
    EXPECT_THAT(run(source), HasSubstr("nested more than 200 levels")) << source.substr(0, 20);
}

TEST(ChatTemplateLimits, LongChainsOfOperatorsAreAnError) {
  for (const char* link : {"+1", ".a", "|string", "(1)", " and 1"}) {
    EXPECT_THAT(run("{{ 1" + times(link, 50'000) + " }}"), HasSubstr("more than 800 levels of operators"))
        << link;
  }
  EXPECT_EQ(run("{{ 1" + times("+1", 700) + " }}"), "701");
  EXPECT_EQ(run("{{ 1" + times("~1", 9'999) + " }}"), times("1", 10'000));
  EXPECT_EQ(run("{% if 0 %}" + times("{% elif 0 %}", 50'000) + "{% else %}x{% endif %}"), "x");
}

TEST(ChatTemplateLimits, EndlessRecursionIsAnError) {
  for (const char* source : {
           "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
           "{% macro m(x) %}{% for i in [1] %}{% set y %}{% filter upper %}{{ m([x]) }}{% endfilter %}{% "
           "endset %}"
           "{% endfor %}{% endmacro %}{{ m(1) }}",
           "{% macro m() %}{% call m() %}{{ caller() }}{% endcall %}{% endmacro %}{{ m() }}",
           "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
       }) {
    EXPECT_THAT(run(source), HasSubstr("the template recurses too deeply")) << source;
  }
}

TEST(ChatTemplateLimits, EndlessLoopsRunOutOfSteps) {
  for (const char* source : {
           "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
           "{{ range(100000) | unique | list }}",
           "{% set a = 'a' * 8000000 %}{% for i in range(90000) %}{{ 'b' in a }}{% endfor %}",
           "{% set a = 'a' * 8000000 %}{% set b = 'a' * 8000000 %}{% for i in range(90000) %}{{ a < b }}{% "
           "endfor %}",
           "{% set a = 'a' * 8000000 %}{{ a.find('a' * 4000000 ~ 'b') }}",
           "{% set a = {}['a' * 8000000] %}{% for i in range(90000) %}{{ {}['a' * 8000000] }}{% endfor %}",
       }) {
    EXPECT_THAT(run(source), HasSubstr("needs more than 1000000 steps")) << source;
  }
}

TEST(ChatTemplateLimits, HugeValuesAreRefusedBeforeTheyAreMade) {
  EXPECT_THAT(run("{{ 'a' * 10**9 }}"), HasSubstr("a string of 1000000000 bytes; the limit is 16777216"));
  EXPECT_THAT(run("{{ [1] * 10**12 }}"), HasSubstr("steps"));
  EXPECT_THAT(run("{{ [[1, 2]] * 9223372036854775807 }}"), HasSubstr("steps"));
  EXPECT_THAT(run("{{ range(10**12) }}"), HasSubstr("too large"));
  EXPECT_THAT(run("{{ 'a'.center(10**10) }}"), HasSubstr("the limit is 16777216"));
  EXPECT_THAT(run("{{ '%1000000000d' % 1 }}"), HasSubstr("the limit is 16777216"));
  EXPECT_THAT(run("{{ '%.1000000000f' % 1 }}"), HasSubstr("too large"));
  EXPECT_THAT(run("{{ [1] | batch(10**12, 0) | list }}"), HasSubstr("steps"));
  EXPECT_THAT(run("{{ [[1]] | tojson(indent=10**10) }}"), HasSubstr("the limit is 16777216"));
  EXPECT_THAT(run("{{ range(100000) | join('a' * 100000) }}"), HasSubstr("the limit is 16777216"));
}

TEST(ChatTemplateLimits, DoublingAStringOrListEndsEarly) {
  const auto repeated = [](const std::string& statement) {
    return run("{% set ns = namespace(s='a', l=[1]) %}{% for i in range(100) %}{% set " + statement +
               " %}{% endfor %}");
  };
  EXPECT_THAT(repeated("ns.s = ns.s ~ ns.s"), HasSubstr("the limit is 16777216"));
  EXPECT_THAT(repeated("ns.s = ns.s + ns.s"), HasSubstr("the limit is 16777216"));
  EXPECT_THAT(repeated("ns.s = ns.s.replace('a', 'aa')"), HasSubstr("the limit is 16777216"));
  EXPECT_THAT(repeated("ns.l = ns.l + ns.l"), HasSubstr("steps"));
}

// A hundred levels of pairs that share their halves: 2^100 elements when written out or compared.
TEST(ChatTemplateLimits, SharedStructureDoesNotExplode) {
  const std::string make =
      "{% set ns = namespace(a=('x',), b=('x',)) %}{% for i in range(100) %}{% set ns.a = (ns.a, ns.a) %}"
      "{% set ns.b = (ns.b, ns.b) %}{% endfor %}";
  for (const char* use :
       {"{{ ns.a }}", "{{ ns.a | tojson }}", "{{ ns.a == ns.b }}", "{{ ns.a < ns.b }}", "{{ {ns.a: 1} }}"}) {
    EXPECT_THAT(run(make + use), HasSubstr("needs more than 1000000 steps")) << use;
  }
}

TEST(ChatTemplateLimits, DeepValuesAndCyclesAreHarmless) {
  const auto chain = [](const std::string& body) {
    return run("{% set ns = namespace(v=[]) %}{% for i in range(20000) %}" + body + "{% endfor %}ok");
  };
  EXPECT_THAT(chain("{% set ns.v = [ns.v] %}"), HasSubstr("nested more than 200 levels"));
  EXPECT_THAT(chain("{% set ns.v = [ns.v] | reverse %}"), HasSubstr("nested more than 200 levels"));
  EXPECT_THAT(chain("{% set ns.v = cycler(ns.v) %}"), HasSubstr("nested more than 200 levels"));
  EXPECT_EQ(chain("{% set ns.v = namespace(v=ns.v) %}"), "ok");
  EXPECT_EQ(chain("{% set p = ns.v %}{% macro m() %}{{ p }}{% endmacro %}{% set ns.v = m %}"), "ok");
  EXPECT_EQ(chain("{% set p = ns.v %}{% for j in [1] %}{% set ns.v = loop %}{% endfor %}"), "ok");
  EXPECT_EQ(run("{% set ns = namespace() %}{% set ns.self = ns %}{{ ns.self.self == ns }}"), "True");
  EXPECT_THAT(run("{% set ns = namespace() %}{% set ns.self = [ns] %}{{ ns }}"),
              HasSubstr("nested more than 200 levels"));
}

TEST(ChatTemplateLimits, TheCallerCanTightenThem) {
  TemplateLimits limits;
  limits.steps = 100;
  EXPECT_THAT(render("{% for i in range(1000) %}a{% endfor %}", Json::object(), limits),
              HasSubstr("more than 100 steps"));
  limits = {};
  limits.output_bytes = 10;
  EXPECT_EQ(render("{{ 'a' * 10 }}", Json::object(), limits), "aaaaaaaaaa");
  EXPECT_THAT(render("{{ 'a' * 10 }}b", Json::object(), limits), HasSubstr("the limit is 10"));
  limits = {};
  limits.depth = 5;
  EXPECT_THAT(render("{{ [[[[[[1]]]]]] }}", Json::object(), limits), HasSubstr("nested more than 5 levels"));
}

// A long conversation must not come near the limits: 400 messages of 2000 characters through a template that
// concatenates each of them five times.
TEST(ChatTemplateLimits, LeaveRoomForLongConversations) {
  Json messages = Json::array();
  for (int i = 0; i < 400; ++i)
    messages.push_back(
        {{"role", i % 2 == 0 ? "user" : "assistant"}, {"content", times("日本語テキスト ", 250)}});
  const std::string text = render(
      "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] | trim + '<|im_end|>' + "
      "'\n' }}{% endfor %}",
      {{"messages", messages}});
  EXPECT_EQ(text.substr(0, 23), "<|im_start|>user\n日本");
  // 400 x (250 x 22 bytes less the last space, and the frame of 16 + 4.5 + 11 letters on average + 2 line
  // breaks)
  EXPECT_EQ(text.size(),
            400U * (250U * 22U - 1U) + 200U * (12U + 4U + 1U + 10U + 1U) + 200U * (12U + 9U + 1U + 10U + 1U));
}

TEST(ChatTemplateLimits, OneTemplateServesManyThreads) {
  const auto parsed = ChatTemplate::parse(
      "{% macro m(x) %}{{ x | upper }}{% endmacro %}{% set ns = namespace(n=0) %}{% for i in range(50) %}"
      "{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}{{ m(name) }}",
      "test");
  ASSERT_TRUE(parsed);
  std::vector<std::string> texts(8);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    threads.emplace_back([&, i] { texts[i] = *parsed->render({{"name", fmt::format("t{}", i)}}); });
  }
  for (std::thread& thread : threads) thread.join();
  for (std::size_t i = 0; i < texts.size(); ++i) EXPECT_EQ(texts[i], fmt::format("1225T{}", i));
}

}  // namespace
}  // namespace sterna::runtime
