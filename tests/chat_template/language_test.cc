// One test per feature of the template language. The expected texts are jinja2's, with the settings of
// transformers; differential.py compares many more.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/chat_template/support.h"

namespace sterna::runtime {
namespace {

struct Case {
  std::string source;
  std::string expected;
};

const Json& context() {
  static const Json value = Json::parse(R"json({
  "messages": [{"role": "user", "content": "  Hello \n"}, {"role": "assistant", "content": "日本語"}],
  "words": ["banana", "Apple", "cherry"],
  "d": {"b": 1, "a": null, "items": "x"},
  "people": [{"name": "Ann", "age": 30}, {"name": "bob", "age": 25}, {"name": "Cy", "age": 30}],
  "i": 42,
  "x": 3.75,
  "s": "The quick \"fox\"",
  "tree": [{"v": 1, "c": [{"v": 2, "c": []}]}, {"v": 3, "c": []}],
  "bos_token": "<s>"
})json");
  return value;
}

void expect_all(const std::vector<Case>& cases) {
  for (const Case& c : cases) EXPECT_EQ(render(c.source, context()), c.expected) << c.source;
}

TEST(ChatTemplateLanguage, Literals) {
  expect_all({
      {"{{ 1_000 }} {{ 0x1F }} {{ 0b11 }} {{ 1.50 }} {{ 1e3 }} {{ 1e16 }} {{ 1e-5 }}",
       "1000 31 3 1.5 1000.0 1e+16 1e-05"},
      {R"({{ 'a\n\x41\u65e5\t\q' }})", "a\nA日\t\\q"},
      {R"({{ "it's" 'joined' }})", "it'sjoined"},
      {R"({{ [1, 2.5, none, true, 'a', "it's", '\n'] }})", R"([1, 2.5, None, True, 'a', "it's", '\n'])"},
      {"{{ (1,) }}{{ () }}{{ (1, 'b') }}", "(1,)()(1, 'b')"},
      {"{{ {'a': 1, 2: [3], none: ()} }}", "{'a': 1, 2: [3], None: ()}"},
      {"{{ True }}{{ None }}{{ false }}", "TrueNoneFalse"},
  });
}

TEST(ChatTemplateLanguage, Arithmetic) {
  expect_all({
      {"{{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % -3 }} {{ -7.5 % 2 }} {{ 7 / 2 }} {{ 4 / 2 }}",
       "3 -4 -2 0.5 3.5 2.0"},
      {"{{ 2 ** 3 ** 2 }} {{ 2 ** -1 }} {{ -2 ** 2 }}", "64 0.5 4"},
      {"{{ 0.1 + 0.2 }} {{ 1 / 3 }} {{ true + 1 }}", "0.30000000000000004 0.3333333333333333 2"},
      {"{{ 'a' * 3 ~ [1] * 2 ~ ('a' + 'b') }}", "aaa[1, 1]ab"},
      {"{{ [1] + [2] }}{{ (1,) + (2,) }}", "[1, 2](1, 2)"},
  });
}

TEST(ChatTemplateLanguage, ComparisonsAndLogic) {
  expect_all({
      {"{{ 1 < 2 < 3 }} {{ 3 > 2 > 2 }} {{ 1 == 1.0 == true }} {{ 'a' < 'b' }} {{ [1, 2] < [1, 3] }}",
       "True False True True True"},
      {"{{ 'a' in 'abc' }} {{ 2 not in [1, 2] }} {{ 'b' in d }}", "True False True"},
      {"{{ 0 or 'x' }} {{ '' and 1 }}| {{ not [] }} {{ 1 and 2 }}", "x | True 2"},
      {"{{ 'yes' if i > 40 else 'no' }}{{ 'gone' if false }}{{ missing or 'default' }}", "yesdefault"},
  });
}

TEST(ChatTemplateLanguage, AccessAndSlices) {
  expect_all({
      {"{{ d.b }} {{ d['b'] }} {{ d.items() | list }} {{ d['items'] }} {{ d.nothing }}|",
       "1 1 [('b', 1), ('a', None), ('items', 'x')] x |"},
      {"{{ words[0] }} {{ words[-1] }} {{ words.1 }} {{ words[9] }}|", "banana cherry Apple |"},
      {"{{ words[::-1] }} {{ words[1:] }} {{ words[:-2] }} {{ 'abcdef'[4:1:-2] }} {{ '日本語'[1:] }}",
       "['cherry', 'Apple', 'banana'] ['Apple', 'cherry'] ['banana'] ec 本語"},
      {"{{ messages[0].content | length }} {{ messages[1]['content'][0] }} {{ '日本語' | length }}",
       "9 日 3"},
  });
}

TEST(ChatTemplateLanguage, WhiteSpace) {
  expect_all({
      {"  {% if true %}\n  a\n  {% endif %}\nb\n", "  a\nb"},
      {"x\n  {%- if true -%}\n  a\n  {%- endif -%}\n y", "xay"},
      {"  {%+ if true +%}\n a{% endif %}", "  \n a"},
      {"a\n  {# comment #}\nb", "a\nb"},
      {"a {{- ' b ' -}} c", "a b c"},
      {"{% raw %}{{ x }}{% endraw %}", "{{ x }}"},
      {"a\r\nb\rc\n\n", "a\nb\nc\n"},
      {"{% for w in words %}\n- {{ w }}\n{% endfor %}\nend", "- banana\n- Apple\n- cherry\nend"},
  });
}

TEST(ChatTemplateLanguage, Loops) {
  expect_all({
      {"{% for w in words %}{{ loop.index }}{{ loop.revindex0 }}{{ 'F' if loop.first }}{{ 'L' if loop.last "
       "}}{{ loop.previtem }}{{ loop.nextitem }}{{ loop.length }} {% endfor %}",
       "12FApple3 21bananacherry3 30LApple3 "},
      {"{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}", "b=1;a=None;items=x;"},
      {"{% for w in words if 'an' in w %}{{ loop.length }}{{ w }}{% else %}none{% endfor %}{% for x in [] "
       "%}{% else %}empty{% endfor %}",
       "1bananaempty"},
      {"{% for i in range(9) %}{% if i == 2 %}{% continue %}{% endif %}{% if i > 4 %}{% break %}{% endif "
       "%}{{ i }}{{ loop.cycle('a', 'b') }}{{ loop.changed(i // 2) }} {% endfor %}{{ i }}",
       "0aTrue 1bFalse 3bTrue 4aTrue 42"},
      {"{% for n in tree recursive %}{{ loop.depth }}{{ n.v }}[{{ loop(n.c) }}]{% endfor %}", "11[22[]]13[]"},
  });
}

TEST(ChatTemplateLanguage, VariablesAndScopes) {
  expect_all({
      {"{% set a, b = 1, [2] %}{{ a }}{{ b }}", "1[2]"},
      {"{% set n = 1 %}{% for w in words %}{% set n = n + 1 %}{{ n }}{% endfor %}{{ n }}", "2221"},
      {"{% set ns = namespace(n=0) %}{% for w in words %}{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.n }}",
       "3"},
      {"{% if true %}{% set y = 5 %}{% endif %}{{ y }}", "5"},
      {"{% set block | upper %} a {{ i }}{% endset %}[{{ block }}]", "[ A 42]"},
      {"{% with i = 1, j = i %}{{ i }}{{ j }}{% endwith %}{{ i }}", "14242"},
      {"{% for m in messages %}{{ i }}{% endfor %}{% set i = 0 %}{{ i }}", "0"},
  });
}

TEST(ChatTemplateLanguage, MacrosAndCalls) {
  expect_all({
      {"{% macro m(a, b=2, c=a) %}{{ a }}{{ b }}{{ c }};{% endmacro %}{{ m(1) }}{{ m(1, c=3) }}{{ m() }}",
       "121;123;2;"},
      {"{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, k=2) }}", "(1,){'k': 2}"},
      {"{% macro box() %}<{{ caller('x') }}>{% endmacro %}{% call(v) box() %}{{ v }}{{ i }}{% endcall %}",
       "<x42>"},
      {"{% macro down(n) %}{{ n }}{% if n %}{{ down(n - 1) }}{% endif %}{% endmacro %}{{ down(3) }}", "3210"},
      {"{% generation %}{{ i }}{% endgeneration %}", "42"},
      {"{% filter upper | replace('B', 'x') %}abc{% endfilter %}", "AxC"},
  });
}

TEST(ChatTemplateLanguage, StringFilters) {
  expect_all({
      {"{{ messages[0].content | trim }}|{{ 'xxaxx' | trim('x') }}", "Hello|a"},
      {"{{ 'straße ὈΔΥΣΣΕΎΣ' | upper }} {{ 'ὈΔΥΣΣΕΎΣ' | lower }} {{ 'hELLO wORLD' | capitalize }} {{ 'hello "
       "world-foo (bar)' | title }}",
       "STRASSE ὈΔΥΣΣΕΎΣ ὀδυσσεύς Hello world Hello World-Foo (Bar)"},
      {"{{ 'a-b-c' | replace('-', '+', 1) }} {{ 'abc' | reverse }} {{ 'x' | center(5) }}|",
       "a+b-c cba   x  |"},
      {R"({{ 'a\nb\n\nc' | indent(2) }}|{{ 'a\nb' | indent(1, true) }})", "a\n  b\n\n  c| a\n b"},
      {"{{ 'foo bar baz qux' | truncate(9) }} {{ 'foo bar baz qux' | truncate(9, true) }}",
       "foo... foo ba..."},
      {"{{ '%s-%03d' | format('a', 7) }} {{ 'a b/c' | urlencode }} {{ 'one two' | wordcount }} {{ '<a>' | e "
       "}}",
       "a-007 a%20b/c 2 &lt;a&gt;"},
  });
}

TEST(ChatTemplateLanguage, SequenceFilters) {
  expect_all({
      {"{{ words | join(', ') }} {{ words | first }} {{ words | last }} {{ words | length }}",
       "banana, Apple, cherry banana cherry 3"},
      {"{{ words | sort }} {{ words | sort(reverse=true, case_sensitive=true) }} {{ [2, 1, 2] | unique | "
       "list }}",
       "['Apple', 'banana', 'cherry'] ['cherry', 'banana', 'Apple'] [2, 1]"},
      {"{{ people | map(attribute='name') | list }} {{ words | map('upper') | join }}",
       "['Ann', 'bob', 'Cy'] BANANAAPPLECHERRY"},
      {"{{ people | selectattr('age', 'equalto', 30) | map(attribute='name') | list }} {{ people | "
       "rejectattr('age', 'gt', 26) | list | length }}",
       "['Ann', 'Cy'] 1"},
      {"{{ [1, 2, 3, 4] | select('even') | list }} {{ [0, 1] | reject | list }}", "[2, 4] [0]"},
      {"{{ people | groupby('age') | map(attribute='grouper') | list }} {{ d | dictsort }}",
       "[25, 30] [('a', None), ('b', 1), ('items', 'x')]"},
      {"{{ [1, 2, 3] | batch(2, 0) | list }} {{ [1, 2, 3] | slice(2) | list }} {{ [3, 1] | sum }} {{ [3, 1] "
       "| min }} {{ people | max(attribute='age') }}",
       "[[1, 2], [3, 0]] [[1, 2], [3]] 4 1 {'name': 'Ann', 'age': 30}"},
      {"{{ words | reverse | list }} {{ d | items | list }}",
       "['cherry', 'Apple', 'banana'] [('b', 1), ('a', None), ('items', 'x')]"},
      {"{{ missing | default('d') }} {{ '' | default('e', true) }} {{ none | default('f') }}", "d e None"},
  });
}

TEST(ChatTemplateLanguage, NumberFilters) {
  expect_all({
      {"{{ x | round }} {{ 2.5 | round }} {{ x | round(1, 'floor') }} {{ 1250 | round(-2) }}",
       "4.0 2.0 3.7 1200"},
      {"{{ '42' | int }} {{ '4.9' | int }} {{ 'q' | int(7) }} {{ 'ff' | int(0, 16) }} {{ '1.5' | float }} {{ "
       "(-3) | abs }}",
       "42 4 7 255 1.5 3"},
  });
}

TEST(ChatTemplateLanguage, Json) {
  expect_all({
      {R"({{ {'b': [1, 2.0, none, true], 'a': '日"\n'} | tojson }})",
       R"({"b": [1, 2.0, null, true], "a": "日\"\n"})"},
      {"{{ {'b': 1, 'a': []} | tojson(indent=2, sort_keys=true) }}", "{\n  \"a\": [],\n  \"b\": 1\n}"},
      {"{{ [1, {'k': 2}] | tojson(separators=(',', ':')) }} {{ '日😀' | tojson(ensure_ascii=true) }}",
       R"([1,{"k":2}] "\u65e5\ud83d\ude00")"},
      {R"({{ '<&>\'' | tojson }})", R"("<&>'")"},
  });
}

TEST(ChatTemplateLanguage, StringMethods) {
  expect_all({
      {"{{ ' a b '.strip() }}|{{ 'a,b,,c'.split(',') }} {{ ' a  b '.split() }} {{ 'a b c'.rsplit(' ', 1) }}",
       "a b|['a', 'b', '', 'c'] ['a', 'b'] ['a b', 'c']"},
      {"{{ 'abc'.startswith('ab') }} {{ 'abc'.endswith(('x', 'c')) }} {{ 'aXbX'.replace('X', '-', 1) }} {{ "
       "'-'.join(words) }}",
       "True True a-bX banana-Apple-cherry"},
      {"{{ 'abcabc'.find('c') }} {{ 'abcabc'.rfind('c') }} {{ 'abcabc'.count('bc') }} {{ 'abc'.find('z') }}",
       "2 5 2 -1"},
      {"{{ 'hello world'.title() }} {{ 'aB'.swapcase() }} {{ '7'.zfill(3) }} {{ '12'.isdigit() }} {{ "
       "'x'.isupper() }}",
       "Hello World Ab 007 True False"},
      {R"({{ 'a\nb\r\nc'.splitlines() }} {{ '<think>x'.removeprefix('<think>') }} {{ 'a=b=c'.partition('=') }})",
       "['a', 'b', 'c'] x ('a', '=', 'b=c')"},
      {"{{ '{} {1:>4} {name!r}|'.format(1, 2, name='n') if false else '{} {name!r:>5}|'.format(1, name='n') "
       "}} {{ '%s %5.2f %x' % ('a', 3.14159, 255) }}",
       "1   'n'| a  3.14 ff"},
  });
}

TEST(ChatTemplateLanguage, DictAndListMethods) {
  expect_all({
      {"{{ d.get('b') }} {{ d.get('zz') }} {{ d.get('zz', 0) }} {{ d.keys() }} {{ d.values() | list }}",
       "1 None 0 dict_keys(['b', 'a', 'items']) [1, None, 'x']"},
      {"{{ [1, 2, 1].count(1) }} {{ words.index('cherry') }}", "2 2"},
      {"{{ dict(a=1, b=2) }} {{ dict([('k', 'v')]) }} {{ range(2, 8, 3) | list }} {{ range(3) }}",
       "{'a': 1, 'b': 2} {'k': 'v'} [2, 5] range(0, 3)"},
  });
}

TEST(ChatTemplateLanguage, Tests) {
  expect_all({
      {"{{ i is defined }} {{ zz is undefined }} {{ none is none }} {{ s is string }} {{ i is number }} {{ "
       "true is integer }} {{ x is float }} {{ false is boolean }}",
       "True True True True True False True True"},
      {"{{ d is mapping }} {{ words is sequence }} {{ i is iterable }} {{ 4 is even }} {{ 4 is odd }} {{ 9 "
       "is divisibleby(3) }} {{ 'AB' is upper }}",
       "True True False True False True True"},
      {"{{ i is eq 42 }} {{ i is not gt(50) }} {{ 'a' is in ['a'] }} {{ none is sameas none }} {{ range is "
       "callable }} {{ (words | select) is sequence }}",
       "True True True True True False"},
  });
}

TEST(ChatTemplateLanguage, Helpers) {
  expect_all({
      {"{% set j = joiner('|') %}{% for w in words %}{{ j() }}{{ w }}{% endfor %}", "banana|Apple|cherry"},
      {"{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}", "abab"},
      {"{{ strftime_now('%d %b %Y, %H:%M %A') }}", "26 Jul 2024, 14:03 Friday"},
      {"{{ namespace(a=1) }}", "<Namespace {'a': 1}>"},
  });
}

TEST(ChatTemplateLanguage, Undefined) {
  expect_all({
      {"[{{ zz }}][{{ d.zz }}][{{ words[10] }}]{{ zz | list }}{{ zz | length }}{{ zz == yy }}",
       "[][][][]0True"},
      {"{% for q in zz %}x{% endfor %}{% if zz %}x{% endif %}ok", "ok"},
  });
}

}  // namespace
}  // namespace sterna::runtime
