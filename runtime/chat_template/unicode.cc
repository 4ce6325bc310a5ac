#include "runtime/chat_template/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>

namespace sterna::runtime::jinja {
namespace {

struct CodePointRange {
  char32_t first;
  char32_t last;
};

bool in_ranges(std::span<const CodePointRange> ranges, char32_t c) {
  const auto after =
      std::upper_bound(ranges.begin(), ranges.end(), c,
                       [](char32_t value, const CodePointRange& r) { return value < r.first; });
  return after != ranges.begin() && c <= std::prev(after)->last;
}

// Unicode properties that the general category does not tell (UnicodeData.txt numeric type Digit,
// DerivedCoreProperties.txt Other_Lowercase and Other_Uppercase, version 14).
constexpr std::array<CodePointRange, 20> kDigits = {
    {{0xB2, 0xB3},     {0xB9, 0xB9},       {0x1369, 0x1371},   {0x19DA, 0x19DA},   {0x2070, 0x2070},
     {0x2074, 0x2079}, {0x2080, 0x2089},   {0x2460, 0x2468},   {0x2474, 0x247C},   {0x2488, 0x2490},
     {0x24EA, 0x24EA}, {0x24F5, 0x24FD},   {0x24FF, 0x24FF},   {0x2776, 0x277E},   {0x2780, 0x2788},
     {0x278A, 0x2792}, {0x10A40, 0x10A43}, {0x10E60, 0x10E68}, {0x11052, 0x1105A}, {0x1F100, 0x1F10A}}};
constexpr std::array<CodePointRange, 24> kOtherLower = {
    {{0xAA, 0xAA},       {0xBA, 0xBA},       {0x2B0, 0x2B8},     {0x2C0, 0x2C1},    {0x2E0, 0x2E4},
     {0x345, 0x345},     {0x37A, 0x37A},     {0x1D2C, 0x1D6A},   {0x1D78, 0x1D78},  {0x1D9B, 0x1DBF},
     {0x2071, 0x2071},   {0x207F, 0x207F},   {0x2090, 0x209C},   {0x2170, 0x217F},  {0x24D0, 0x24E9},
     {0x2C7C, 0x2C7D},   {0xA69C, 0xA69D},   {0xA770, 0xA770},   {0xA7F8, 0xA7F9},  {0xAB5C, 0xAB5F},
     {0x10780, 0x10780}, {0x10783, 0x10785}, {0x10787, 0x107B0}, {0x107B2, 0x107BA}}};
constexpr std::array<CodePointRange, 5> kOtherUpper = {
    {{0x2160, 0x216F}, {0x24B6, 0x24CF}, {0x1F130, 0x1F149}, {0x1F150, 0x1F169}, {0x1F170, 0x1F189}}};

// Unicode SpecialCasing.txt, unconditional mappings to upper and title case of more than one code point.
struct SpecialCase {
  char32_t code_point;
  std::u16string_view upper;
  std::u16string_view title;
};
constexpr auto kSpecialCases =
    std::to_array<SpecialCase>({{0x00DF, u"\u0053\u0053", u"\u0053\u0073"},
                                {0x0149, u"\u02BC\u004E", u"\u02BC\u004E"},
                                {0x01F0, u"\u004A\u030C", u"\u004A\u030C"},
                                {0x0390, u"\u0399\u0308\u0301", u"\u0399\u0308\u0301"},
                                {0x03B0, u"\u03A5\u0308\u0301", u"\u03A5\u0308\u0301"},
                                {0x0587, u"\u0535\u0552", u"\u0535\u0582"},
                                {0x1E96, u"\u0048\u0331", u"\u0048\u0331"},
                                {0x1E97, u"\u0054\u0308", u"\u0054\u0308"},
                                {0x1E98, u"\u0057\u030A", u"\u0057\u030A"},
                                {0x1E99, u"\u0059\u030A", u"\u0059\u030A"},
                                {0x1E9A, u"\u0041\u02BE", u"\u0041\u02BE"},
                                {0x1F50, u"\u03A5\u0313", u"\u03A5\u0313"},
                                {0x1F52, u"\u03A5\u0313\u0300", u"\u03A5\u0313\u0300"},
                                {0x1F54, u"\u03A5\u0313\u0301", u"\u03A5\u0313\u0301"},
                                {0x1F56, u"\u03A5\u0313\u0342", u"\u03A5\u0313\u0342"},
                                {0x1F80, u"\u1F08\u0399", u"\u1F88"},
                                {0x1F81, u"\u1F09\u0399", u"\u1F89"},
                                {0x1F82, u"\u1F0A\u0399", u"\u1F8A"},
                                {0x1F83, u"\u1F0B\u0399", u"\u1F8B"},
                                {0x1F84, u"\u1F0C\u0399", u"\u1F8C"},
                                {0x1F85, u"\u1F0D\u0399", u"\u1F8D"},
                                {0x1F86, u"\u1F0E\u0399", u"\u1F8E"},
                                {0x1F87, u"\u1F0F\u0399", u"\u1F8F"},
                                {0x1F88, u"\u1F08\u0399", u"\u1F88"},
                                {0x1F89, u"\u1F09\u0399", u"\u1F89"},
                                {0x1F8A, u"\u1F0A\u0399", u"\u1F8A"},
                                {0x1F8B, u"\u1F0B\u0399", u"\u1F8B"},
                                {0x1F8C, u"\u1F0C\u0399", u"\u1F8C"},
                                {0x1F8D, u"\u1F0D\u0399", u"\u1F8D"},
                                {0x1F8E, u"\u1F0E\u0399", u"\u1F8E"},
                                {0x1F8F, u"\u1F0F\u0399", u"\u1F8F"},
                                {0x1F90, u"\u1F28\u0399", u"\u1F98"},
                                {0x1F91, u"\u1F29\u0399", u"\u1F99"},
                                {0x1F92, u"\u1F2A\u0399", u"\u1F9A"},
                                {0x1F93, u"\u1F2B\u0399", u"\u1F9B"},
                                {0x1F94, u"\u1F2C\u0399", u"\u1F9C"},
                                {0x1F95, u"\u1F2D\u0399", u"\u1F9D"},
                                {0x1F96, u"\u1F2E\u0399", u"\u1F9E"},
                                {0x1F97, u"\u1F2F\u0399", u"\u1F9F"},
                                {0x1F98, u"\u1F28\u0399", u"\u1F98"},
                                {0x1F99, u"\u1F29\u0399", u"\u1F99"},
                                {0x1F9A, u"\u1F2A\u0399", u"\u1F9A"},
                                {0x1F9B, u"\u1F2B\u0399", u"\u1F9B"},
                                {0x1F9C, u"\u1F2C\u0399", u"\u1F9C"},
                                {0x1F9D, u"\u1F2D\u0399", u"\u1F9D"},
                                {0x1F9E, u"\u1F2E\u0399", u"\u1F9E"},
                                {0x1F9F, u"\u1F2F\u0399", u"\u1F9F"},
                                {0x1FA0, u"\u1F68\u0399", u"\u1FA8"},
                                {0x1FA1, u"\u1F69\u0399", u"\u1FA9"},
                                {0x1FA2, u"\u1F6A\u0399", u"\u1FAA"},
                                {0x1FA3, u"\u1F6B\u0399", u"\u1FAB"},
                                {0x1FA4, u"\u1F6C\u0399", u"\u1FAC"},
                                {0x1FA5, u"\u1F6D\u0399", u"\u1FAD"},
                                {0x1FA6, u"\u1F6E\u0399", u"\u1FAE"},
                                {0x1FA7, u"\u1F6F\u0399", u"\u1FAF"},
                                {0x1FA8, u"\u1F68\u0399", u"\u1FA8"},
                                {0x1FA9, u"\u1F69\u0399", u"\u1FA9"},
                                {0x1FAA, u"\u1F6A\u0399", u"\u1FAA"},
                                {0x1FAB, u"\u1F6B\u0399", u"\u1FAB"},
                                {0x1FAC, u"\u1F6C\u0399", u"\u1FAC"},
                                {0x1FAD, u"\u1F6D\u0399", u"\u1FAD"},
                                {0x1FAE, u"\u1F6E\u0399", u"\u1FAE"},
                                {0x1FAF, u"\u1F6F\u0399", u"\u1FAF"},
                                {0x1FB2, u"\u1FBA\u0399", u"\u1FBA\u0345"},
                                {0x1FB3, u"\u0391\u0399", u"\u1FBC"},
                                {0x1FB4, u"\u0386\u0399", u"\u0386\u0345"},
                                {0x1FB6, u"\u0391\u0342", u"\u0391\u0342"},
                                {0x1FB7, u"\u0391\u0342\u0399", u"\u0391\u0342\u0345"},
                                {0x1FBC, u"\u0391\u0399", u"\u1FBC"},
                                {0x1FC2, u"\u1FCA\u0399", u"\u1FCA\u0345"},
                                {0x1FC3, u"\u0397\u0399", u"\u1FCC"},
                                {0x1FC4, u"\u0389\u0399", u"\u0389\u0345"},
                                {0x1FC6, u"\u0397\u0342", u"\u0397\u0342"},
                                {0x1FC7, u"\u0397\u0342\u0399", u"\u0397\u0342\u0345"},
                                {0x1FCC, u"\u0397\u0399", u"\u1FCC"},
                                {0x1FD2, u"\u0399\u0308\u0300", u"\u0399\u0308\u0300"},
                                {0x1FD3, u"\u0399\u0308\u0301", u"\u0399\u0308\u0301"},
                                {0x1FD6, u"\u0399\u0342", u"\u0399\u0342"},
                                {0x1FD7, u"\u0399\u0308\u0342", u"\u0399\u0308\u0342"},
                                {0x1FE2, u"\u03A5\u0308\u0300", u"\u03A5\u0308\u0300"},
                                {0x1FE3, u"\u03A5\u0308\u0301", u"\u03A5\u0308\u0301"},
                                {0x1FE4, u"\u03A1\u0313", u"\u03A1\u0313"},
                                {0x1FE6, u"\u03A5\u0342", u"\u03A5\u0342"},
                                {0x1FE7, u"\u03A5\u0308\u0342", u"\u03A5\u0308\u0342"},
                                {0x1FF2, u"\u1FFA\u0399", u"\u1FFA\u0345"},
                                {0x1FF3, u"\u03A9\u0399", u"\u1FFC"},
                                {0x1FF4, u"\u038F\u0399", u"\u038F\u0345"},
                                {0x1FF6, u"\u03A9\u0342", u"\u03A9\u0342"},
                                {0x1FF7, u"\u03A9\u0342\u0399", u"\u03A9\u0342\u0345"},
                                {0x1FFC, u"\u03A9\u0399", u"\u1FFC"},
                                {0xFB00, u"\u0046\u0046", u"\u0046\u0066"},
                                {0xFB01, u"\u0046\u0049", u"\u0046\u0069"},
                                {0xFB02, u"\u0046\u004C", u"\u0046\u006C"},
                                {0xFB03, u"\u0046\u0046\u0049", u"\u0046\u0066\u0069"},
                                {0xFB04, u"\u0046\u0046\u004C", u"\u0046\u0066\u006C"},
                                {0xFB05, u"\u0053\u0054", u"\u0053\u0074"},
                                {0xFB06, u"\u0053\u0054", u"\u0053\u0074"},
                                {0xFB13, u"\u0544\u0546", u"\u0544\u0576"},
                                {0xFB14, u"\u0544\u0535", u"\u0544\u0565"},
                                {0xFB15, u"\u0544\u053B", u"\u0544\u056B"},
                                {0xFB16, u"\u054E\u0546", u"\u054E\u0576"},
                                {0xFB17, u"\u0544\u053D", u"\u0544\u056D"}});

const SpecialCase* special_case(char32_t c) {
  const auto* found =
      std::lower_bound(kSpecialCases.begin(), kSpecialCases.end(), c,
                       [](const SpecialCase& s, char32_t value) { return s.code_point < value; });
  return found != kSpecialCases.end() && found->code_point == c ? found : nullptr;
}

void append_all(std::string& out, std::u16string_view text) {
  for (const char16_t c : text) append_utf8(out, c);
}

utf8proc_category_t category(char32_t c) { return utf8proc_category(static_cast<utf8proc_int32_t>(c)); }

// Length of the sequence that this first byte announces; 0 for a byte that cannot start one.
std::size_t sequence_length(unsigned char first) {
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) return 2;
  if (first >= 0xE0 && first <= 0xEF) return 3;
  return first >= 0xF0 && first <= 0xF4 ? 4 : 0;
}

bool is_case_ignorable(char32_t c) {
  switch (category(c)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK:
      return true;
    default:
      break;
  }
  constexpr std::u32string_view kWordBreakMiddle =
      U"'.:\u00B7\u0387\u055F\u05F4\u2018\u2019\u2024\u2027\uFE13\uFE52\uFE55\uFF07\uFF0E\uFF1A";
  return kWordBreakMiddle.find(c) != std::u32string_view::npos;
}

}  // namespace

std::size_t invalid_utf8_offset(std::string_view text) {
  std::size_t position = 0;
  while (position < text.size()) {
    const auto first = static_cast<unsigned char>(text[position]);
    const std::size_t length = sequence_length(first);
    if (length == 0 || position + length > text.size()) return position;
    for (std::size_t i = 1; i < length; ++i) {
      const auto next = static_cast<unsigned char>(text[position + i]);
      // The second byte is narrower behind E0, ED, F0 and F4: no overlong forms, surrogates or code points
      // above 10FFFF.
      const unsigned low = i == 1 && first == 0xE0 ? 0xA0 : (i == 1 && first == 0xF0 ? 0x90 : 0x80);
      const unsigned high = i == 1 && first == 0xED ? 0x9F : (i == 1 && first == 0xF4 ? 0x8F : 0xBF);
      if (next < low || next > high) return position;
    }
    position += length;
  }
  return std::string_view::npos;
}

char32_t decode(std::string_view text, std::size_t& position) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned first = byte(position);
  const std::size_t length = sequence_length(static_cast<unsigned char>(first));
  if (length <= 1) {
    ++position;
    return first;
  }
  char32_t code_point = first & (0x7FU >> length);
  for (std::size_t i = 1; i < length; ++i) code_point = (code_point << 6U) | (byte(position + i) & 0x3FU);
  position += length;
  return code_point;
}

void append_utf8(std::string& out, char32_t c) {
  const auto put = [&](unsigned value) { out += static_cast<char>(static_cast<unsigned char>(value)); };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xC0U | (c >> 6U));
    put(0x80U | (c & 0x3FU));
  } else if (c < 0x10000) {
    put(0xE0U | (c >> 12U));
    put(0x80U | ((c >> 6U) & 0x3FU));
    put(0x80U | (c & 0x3FU));
  } else {
    put(0xF0U | (c >> 18U));
    put(0x80U | ((c >> 12U) & 0x3FU));
    put(0x80U | ((c >> 6U) & 0x3FU));
    put(0x80U | (c & 0x3FU));
  }
}

std::size_t count_code_points(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

std::size_t byte_offset(std::string_view text, std::size_t index) {
  std::size_t position = 0;
  while (index > 0 && position < text.size()) {
    position += std::max<std::size_t>(1, sequence_length(static_cast<unsigned char>(text[position])));
    --index;
  }
  return std::min(position, text.size());
}

std::size_t previous_code_point(std::string_view text, std::size_t position) {
  do --position;
  while (position > 0 && (static_cast<unsigned char>(text[position]) & 0xC0U) == 0x80U);
  return position;
}

std::string excerpt(std::string_view text) {
  constexpr std::size_t kMostCodePoints = 60;
  const std::size_t end = byte_offset(text, kMostCodePoints);
  std::string result(text.substr(0, end));
  if (end < text.size()) result += "...";
  return result;
}

bool is_space(char32_t c) {
  if (c <= 0x20) return c == 0x20 || (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x1F);
  return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
         c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

bool is_line_break(char32_t c) {
  return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

bool is_alpha(char32_t c) {
  const auto k = category(c);
  return k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_LO;
}

bool is_decimal(char32_t c) { return category(c) == UTF8PROC_CATEGORY_ND; }
bool is_digit(char32_t c) { return is_decimal(c) || in_ranges(kDigits, c); }

bool is_word(char32_t c) {
  const auto k = category(c);
  return c == U'_' || is_alpha(c) || (k >= UTF8PROC_CATEGORY_ND && k <= UTF8PROC_CATEGORY_NO);
}

bool is_upper(char32_t c) { return category(c) == UTF8PROC_CATEGORY_LU || in_ranges(kOtherUpper, c); }
bool is_lower(char32_t c) { return category(c) == UTF8PROC_CATEGORY_LL || in_ranges(kOtherLower, c); }
bool is_title(char32_t c) { return category(c) == UTF8PROC_CATEGORY_LT; }

bool is_printable(char32_t c) {
  if (c == 0x20) return true;
  switch (category(c)) {
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
      return false;
    default:
      return true;
  }
}

void append_upper(std::string& out, char32_t c) {
  if (const SpecialCase* special = special_case(c)) return append_all(out, special->upper);
  append_utf8(out, static_cast<char32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(c))));
}

void append_lower(std::string& out, char32_t c) {
  if (c == 0x130) return append_all(out, u"i\u0307");
  append_utf8(out, static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))));
}

void append_title(std::string& out, char32_t c) {
  if (const SpecialCase* special = special_case(c)) return append_all(out, special->title);
  append_utf8(out, static_cast<char32_t>(utf8proc_totitle(static_cast<utf8proc_int32_t>(c))));
}

bool is_final_sigma(std::string_view text, std::size_t position) {
  std::size_t before = position;
  bool cased_before = false;
  while (before > 0) {
    before = previous_code_point(text, before);
    std::size_t at = before;
    const char32_t c = decode(text, at);
    if (is_case_ignorable(c)) continue;
    cased_before = is_cased(c);
    break;
  }
  if (!cased_before) return false;
  std::size_t after = position + 2;  // U+03A3 takes two bytes
  while (after < text.size()) {
    const char32_t c = decode(text, after);
    if (!is_case_ignorable(c)) return !is_cased(c);
  }
  return true;
}

}  // namespace sterna::runtime::jinja
