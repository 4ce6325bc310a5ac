#include "eval/report/text.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "runtime/tokenizer/unicode.h"

namespace sterna::eval::report {
namespace {

namespace unicode = runtime::tokenization;

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD
constexpr std::string_view kPlusMinus = " \xC2\xB1 ";

bool allowed_in_xml(char32_t c) {
  if (c < 0x20) return c == '\t' || c == '\n' || c == '\r';
  return c != 0xFFFE && c != 0xFFFF;
}

std::string_view entity(char c) {
  switch (c) {
    case '&':
      return "&amp;";
    case '<':
      return "&lt;";
    case '>':
      return "&gt;";
    case '"':
      return "&quot;";
    case '\'':
      return "&#39;";
    default:
      return {};
  }
}

std::size_t width_of(char32_t c) {
  const int width = utf8proc_charwidth(static_cast<utf8proc_int32_t>(c));
  return width < 0 ? 0 : static_cast<std::size_t>(width);
}

bool is_word_byte(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte >= 0x80 || (byte >= '0' && byte <= '9') || ((byte | 0x20U) >= 'a' && (byte | 0x20U) <= 'z');
}

// An underscore within a word is a letter; at its border it would begin an emphasis.
bool needs_backslash(std::string_view text, std::size_t i) {
  constexpr std::string_view kSpecial = "\\`*[]<>|#~$";
  if (text[i] != '_') return kSpecial.find(text[i]) != std::string_view::npos;
  return i == 0 || i + 1 == text.size() || !is_word_byte(text[i - 1]) || !is_word_byte(text[i + 1]);
}

// Decimals that show an error with two significant digits from 1.0 to 2.9, with one from 3 to 9: a rounding
// of at most a sixth of the error.
int decimals_of(double error) {
  const auto power = static_cast<int>(std::floor(std::log10(error)));
  const bool is_small_digit = error < 2.95 * std::pow(10.0, power);
  return std::clamp((is_small_digit ? 1 : 0) - power, 0, 6);
}

bool is_huge(double value) { return std::abs(value) >= 1e6; }

}  // namespace

std::string escape_xml(std::string_view text) {
  const std::string valid = unicode::to_valid_utf8(text);
  std::string out;
  out.reserve(valid.size() + valid.size() / 8);
  for (std::size_t i = 0; i < valid.size();) {
    const unicode::CodePoint c = unicode::code_point_at(valid, i);
    const std::string_view replaced = c.length == 1 ? entity(valid[i]) : std::string_view();
    if (!allowed_in_xml(c.value)) {
      out += kReplacement;
    } else if (!replaced.empty()) {
      out += replaced;
    } else {
      out += std::string_view(valid).substr(i, c.length);
    }
    i += c.length;
  }
  return out;
}

std::string escape_markdown(std::string_view text) {
  const std::string valid = unicode::to_valid_utf8(text);
  std::string out;
  out.reserve(valid.size() + 8);
  for (std::size_t i = 0; i < valid.size(); ++i) {
    const char c = valid[i];
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
      out += ' ';
    } else if (c == '&') {
      out += "&amp;";
    } else {
      if (needs_backslash(valid, i)) out += '\\';
      out += c;
    }
  }
  return out;
}

std::size_t display_width(std::string_view text) {
  const std::string valid = unicode::to_valid_utf8(text);
  std::size_t width = 0;
  for (std::size_t i = 0; i < valid.size();) {
    const unicode::CodePoint c = unicode::code_point_at(valid, i);
    width += width_of(c.value);
    i += c.length;
  }
  return width;
}

std::string shortened(std::string_view text, std::size_t width) {
  if (display_width(text) <= width) return std::string(text);
  const std::string valid = unicode::to_valid_utf8(text);
  std::size_t end = 0;
  for (std::size_t used = 0; end < valid.size();) {
    const unicode::CodePoint c = unicode::code_point_at(valid, end);
    used += width_of(c.value);
    if (used + 1 > width) break;
    end += c.length;
  }
  return valid.substr(0, end) + "\xE2\x80\xA6";
}

std::string padded(std::string_view text, std::size_t width, Align align) {
  const std::size_t used = display_width(text);
  const std::string space(width > used ? width - used : 0, ' ');
  return align == Align::kLeft ? fmt::format("{}{}", text, space) : fmt::format("{}{}", space, text);
}

std::string number(double value, int decimals) {
  if (!std::isfinite(value)) return "n/a";
  if (is_huge(value)) return fmt::format("{:.3g}", value);
  const std::string text = fmt::format("{:.{}f}", value, decimals);
  return text.find_first_not_of("-0.") == std::string::npos && text[0] == '-' ? text.substr(1) : text;
}

std::string number(double value) {
  if (!std::isfinite(value)) return "n/a";
  if (value == 0) return "0";
  if (std::abs(value) < 1e-4) return fmt::format("{:.1e}", value);
  return number(value, std::clamp(3 - static_cast<int>(std::floor(std::log10(std::abs(value)))), 0, 6));
}

std::string number(const Estimate& estimate) {
  if (!std::isfinite(estimate.value)) return "n/a";
  if (!std::isfinite(estimate.error) || estimate.error <= 0) return number(estimate.value);
  if (is_huge(estimate.value) || estimate.error < 1e-6) {
    return fmt::format("{:.3g}{}{:.1g}", estimate.value, kPlusMinus, estimate.error);
  }
  const int decimals = decimals_of(estimate.error);
  return fmt::format("{}{}{}", number(estimate.value, decimals), kPlusMinus,
                     number(estimate.error, decimals));
}

std::string percent(const Estimate& share) {
  if (!std::isfinite(share.value)) return "n/a";
  if (!std::isfinite(share.error) || share.error <= 0) return percent(share.value);
  const double error = 100 * share.error;
  const int decimals = std::clamp(decimals_of(error), 1, error < 0.1 ? 2 : 1);
  return fmt::format("{:.{}f}{}{:.{}f} %", 100 * share.value, decimals, kPlusMinus, error, decimals);
}

std::string percent(double share) {
  return std::isfinite(share) ? number(100 * share, 1) + " %" : std::string("n/a");
}

std::string bytes(std::uint64_t count) {
  constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(count);
  std::size_t unit = 0;
  while (value >= 999.5 && unit + 1 < std::size(kUnits)) {
    value /= 1024;
    ++unit;
  }
  if (unit == 0) return fmt::format("{} B", count);
  return fmt::format("{:.{}f} {}", value, value < 9.995 ? 2 : value < 99.95 ? 1 : 0, kUnits[unit]);
}

std::string seconds(double value) { return number(value, value < 10 ? 2 : 1) + " s"; }

std::string p_value(double p) {
  if (!std::isfinite(p)) return "p unknown";
  if (p < 0.001) return "p < 0.001";
  // 0.0499 must not look like 0.05, which is the border.
  return fmt::format("p = {:.{}f}", p, p < 0.1 ? 3 : 2);
}

std::string grouped(std::uint64_t count) {
  const std::string digits = fmt::format("{}", count);
  std::string text;
  text.reserve(digits.size() + digits.size() / 3);
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) text += ',';
    text += digits[i];
  }
  return text;
}

}  // namespace sterna::eval::report
