#define PCRE2_CODE_UNIT_WIDTH 8
#include "runtime/tokenizer/character_property.h"

#include <fmt/format.h>
#include <pcre2.h>

#include <algorithm>
#include <array>
#include <utility>

namespace sterna::runtime::tokenization {

namespace {

// White_Space; PCRE2's \s would add U+180E.
constexpr std::string_view kSpace =
    R"(\t-\r\x20\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";
// Alphabetic characters, marks, decimal digits and connectors; PCRE2's \w has no marks, but all numbers.
constexpr std::string_view kWord =
    R"(\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\x{24b6}-\x{24e9}\x{1f130}-\x{1f149}\x{1f150}-\x{1f169}\x{1f170}-\x{1f189})";
// Oniguruma's \w, but neither [\w] nor [:word:], also has the superscripts and fractions of Latin-1.
constexpr std::string_view kLatinNumbers = R"(\x{b2}\x{b3}\x{b9}\x{bc}-\x{be})";
constexpr std::string_view kHex = "0-9a-fA-F";

constexpr std::array<std::pair<std::string_view, std::string_view>, 28> kNames = {{
    {"alnum", R"(\p{Alphabetic}\p{Nd})"},
    {"alpha", R"(\p{Alphabetic})"},
    {"any", R"(\x{0}-\x{10ffff})"},
    {"ascii", R"(\x{0}-\x7f)"},
    {"assigned", R"(\P{Cn})"},
    {"blank", R"(\p{Zs}\t)"},
    {"cntrl", R"(\p{Cc})"},
    {"decimalnumber", R"(\p{Nd})"},
    {"digit", R"(\p{Nd})"},
    {"letter", R"(\p{L})"},
    {"lower", R"(\p{Lowercase})"},
    {"lowercaseletter", R"(\p{Ll})"},
    {"mark", R"(\p{M})"},
    {"modifierletter", R"(\p{Lm})"},
    {"number", R"(\p{N})"},
    {"other", R"(\p{C})"},
    {"otherletter", R"(\p{Lo})"},
    {"punct", R"(\p{P})"},
    {"punctuation", R"(\p{P})"},
    {"separator", R"(\p{Z})"},
    {"space", kSpace},
    {"symbol", R"(\p{S})"},
    {"titlecaseletter", R"(\p{Lt})"},
    {"upper", R"(\p{Uppercase})"},
    {"uppercaseletter", R"(\p{Lu})"},
    {"whitespace", kSpace},
    {"word", kWord},
    {"xdigit", kHex},
}};

bool compiles(const std::string& pattern) {
  int error = 0;
  PCRE2_SIZE offset = 0;
  auto* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(), PCRE2_UTF, &error,
                             &offset, nullptr);
  pcre2_code_free(code);
  return code != nullptr;
}

}  // namespace

std::optional<CharacterSet> shorthand_set(char letter, bool in_class) {
  switch (letter) {
    case 's':
      return CharacterSet{std::string(kSpace), false};
    case 'S':
      return CharacterSet{std::string(kSpace), true};
    case 'w':
      return CharacterSet{fmt::format("{}{}", kWord, in_class ? "" : kLatinNumbers), false};
    case 'W':
      return CharacterSet{fmt::format("{}{}", kWord, in_class ? "" : kLatinNumbers), true};
    case 'd':
      return CharacterSet{R"(\p{Nd})", false};
    case 'D':
      return CharacterSet{R"(\p{Nd})", true};
    case 'h':
      return CharacterSet{std::string(kHex), false};
    case 'H':
      return CharacterSet{std::string(kHex), true};
    default:
      return std::nullopt;
  }
}

CharacterSet property_set(std::string_view name) {
  std::string plain;  // as Unicode compares names: without case, spaces, hyphens and underscores
  for (const char c : name) {
    if (c == ' ' || c == '-' || c == '_') continue;
    plain += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  if (plain == "graph") return {fmt::format(R"({}\p{{Cc}}\p{{Cn}}\p{{Cs}})", kSpace), true};
  if (plain == "print") return {R"(\p{Cc}\p{Cn}\p{Cs}\p{Zl}\p{Zp})", true};
  const auto* const known =
      std::find_if(kNames.begin(), kNames.end(), [&](const auto& entry) { return entry.first == plain; });
  if (known != kNames.end()) return {std::string(known->second), false};
  // \p{Han} of PCRE2 means Script_Extensions; Oniguruma's means Script.
  const std::string script = fmt::format(R"(\p{{sc:{}}})", name);
  return {compiles(script) ? script : fmt::format(R"(\p{{{}}})", name), false};
}

CharacterSet posix_set(std::string_view name) {
  return name == "punct" ? CharacterSet{R"(\p{P}\p{S})", false} : property_set(name);
}

std::string word_border(bool border) {
  return border
             ? fmt::format("(?:(?<=[{0}{1}])(?![{0}{1}])|(?<![{0}{1}])(?=[{0}{1}]))", kWord, kLatinNumbers)
             : fmt::format("(?:(?<=[{0}{1}])(?=[{0}{1}])|(?<![{0}{1}])(?![{0}{1}]))", kWord, kLatinNumbers);
}

}  // namespace sterna::runtime::tokenization
