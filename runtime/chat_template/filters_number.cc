#include <fmt/format.h>

#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <limits>

#include "runtime/chat_template/arguments.h"
#include "runtime/chat_template/filters.h"
#include "runtime/chat_template/text.h"
#include "runtime/chat_template/unicode.h"

namespace sterna::runtime::jinja {
namespace {

// Python's literals allow _ between digits.
std::optional<std::string> without_underscores(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      out += text[i];
      continue;
    }
    const auto alnum = [&](std::size_t at) {
      return at < text.size() && std::isalnum(static_cast<unsigned char>(text[at])) != 0;
    };
    if (i == 0 || !alnum(i - 1) || !alnum(i + 1)) return std::nullopt;
  }
  return out;
}

// float(text) of Python; nothing when it is no number.
std::optional<double> parse_float(const Text& text) {
  const Text stripped = strip(text, nullptr, Side::both);
  auto digits = without_underscores(stripped.view());
  if (!digits || digits->empty()) return std::nullopt;
  std::string_view rest = *digits;
  const bool negative = rest.front() == '-';
  if (rest.front() == '+' || rest.front() == '-') rest.remove_prefix(1);
  // from_chars would also take "nan(...)", and a second sign.
  std::string lower;
  for (const char c : rest) lower += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  const bool word = lower == "inf" || lower == "infinity" || lower == "nan";
  if (rest.empty() || (!word && std::isdigit(static_cast<unsigned char>(rest[0])) == 0 && rest[0] != '.'))
    return std::nullopt;
  double value = 0;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), value);
  if (end != rest.data() + rest.size() || error == std::errc::invalid_argument) return std::nullopt;
  if (error == std::errc::result_out_of_range) {
    // Too small or too large: strtod knows which, and from_chars leaves the value alone.
    const auto exponent = lower.find('e');
    const bool small =
        exponent != std::string::npos && exponent + 1 < lower.size() && lower[exponent + 1] == '-';
    value = small ? 0.0 : std::numeric_limits<double>::infinity();
  }
  return negative ? -value : value;
}

struct ParsedInteger {
  bool valid = false;
  bool too_large = false;
  std::int64_t value = 0;
};

// The digits behind sign and prefix: 0x, 0o and 0b belong to the bases 16, 8 and 2, or choose it for base 0.
std::string_view strip_base_prefix(std::string_view digits, int& base) {
  const char letter = digits.size() > 1 && digits[0] == '0'
                          ? static_cast<char>(std::tolower(static_cast<unsigned char>(digits[1])))
                          : '\0';
  const int prefixed = letter == 'x' ? 16 : (letter == 'o' ? 8 : (letter == 'b' ? 2 : 0));
  if (prefixed != 0 && (base == prefixed || base == 0)) {
    base = prefixed;
    digits.remove_prefix(2);
    if (!digits.empty() && digits[0] == '_') digits.remove_prefix(1);
  } else if (base == 0) {
    base = 10;
    if (digits.size() > 1 && digits[0] == '0' && digits.find_first_not_of("0_") != std::string_view::npos)
      return {};
  }
  return digits;
}

ParsedInteger parse_integer(const Text& text, int base) {
  const Text stripped = strip(text, nullptr, Side::both);
  std::string_view rest = stripped.view();
  const bool negative = rest.starts_with('-');
  if (rest.starts_with('+') || rest.starts_with('-')) rest.remove_prefix(1);
  const auto digits = without_underscores(strip_base_prefix(rest, base));
  if (!digits || digits->empty() || digits->front() == '-' || digits->front() == '+') return {};
  std::uint64_t magnitude = 0;
  const auto [end, error] = std::from_chars(digits->data(), digits->data() + digits->size(), magnitude, base);
  if (end != digits->data() + digits->size() || error == std::errc::invalid_argument) return {};
  ParsedInteger result;
  result.valid = true;
  const std::uint64_t limit =
      static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) + (negative ? 1 : 0);
  result.too_large = error == std::errc::result_out_of_range || magnitude > limit;
  result.value = static_cast<std::int64_t>(negative ? 0 - magnitude : magnitude);
  return result;
}

Result<Value> truncate_float(double value, const Value& otherwise) {
  if (!std::isfinite(value)) return otherwise;
  constexpr double kTwo63 = 9223372036854775808.0;
  if (value >= kTwo63 || value < -kTwo63)
    return fail("the number {} does not fit an integer of 64 bits", value);
  return Value(static_cast<std::int64_t>(value));
}

Result<Value> filter_int(Environment& env, const Value& input, const Arguments& arguments) {
  STERNA_TRY(const Bound bound, Bound::bind("int", arguments, {"default", "base"}));
  const Value otherwise = bound[0] == nullptr ? Value(std::int64_t{0}) : *bound[0];
  STERNA_TRY(const std::int64_t base, bound.integer(1, 10));
  if (input.is_undefined()) return input.undefined_error();
  if (const auto integer = input.integer()) return Value(*integer);
  if (const double* number = input.floating()) return truncate_float(*number, otherwise);
  const Text* text = input.text();
  if (text == nullptr) return otherwise;
  STERNA_CHECK(env.budget.spend_characters(text->size()));
  if (base == 0 || (base >= 2 && base <= 36)) {
    const ParsedInteger parsed = parse_integer(*text, static_cast<int>(base));
    if (parsed.too_large)
      return fail("the number '{}' does not fit an integer of 64 bits", excerpt(text->view()));
    if (parsed.valid) return Value(parsed.value);
  }
  const auto number = parse_float(*text);
  return number ? truncate_float(*number, otherwise) : otherwise;
}

Result<Value> filter_float(Environment& env, const Value& input, const Arguments& arguments) {
  STERNA_TRY(const Bound bound, Bound::bind("float", arguments, {"default"}));
  const Value otherwise = bound[0] == nullptr ? Value(0.0) : *bound[0];
  if (input.is_undefined()) return input.undefined_error();
  if (input.is_number()) return Value(input.as_double());
  if (input.text() != nullptr) STERNA_CHECK(env.budget.spend_characters(input.text()->size()));
  const auto number = input.text() != nullptr ? parse_float(*input.text()) : std::nullopt;
  return number ? Value(*number) : otherwise;
}

Result<Value> filter_abs(Environment& /*env*/, const Value& input, const Arguments& arguments) {
  STERNA_TRY([[maybe_unused]] const Bound bound, Bound::bind("abs", arguments, {}));
  if (const double* number = input.floating()) return Value(std::fabs(*number));
  const auto integer = input.integer();
  if (!integer) return fail("abs needs a number, not {}", type_name(input));
  if (*integer == std::numeric_limits<std::int64_t>::min())
    return fail("the result does not fit an integer of 64 bits");
  return Value(std::abs(*integer));
}

// Decimal digits of double that can matter: beyond, rounding changes nothing.
constexpr std::int64_t kMostPlaces = 323;

// To `places` decimals, halves to even of the exact binary value, as Python's round.
double round_float(double value, std::int64_t places) {
  if (!std::isfinite(value) || places > kMostPlaces) return value;
  if (places < -308) return std::copysign(0.0, value);
  if (places >= 0) {
    const std::string text = fmt::format("{:.{}f}", value, static_cast<int>(places));
    double rounded = value;
    std::from_chars(text.data(), text.data() + text.size(), rounded);
    return rounded;
  }
  const double scale = std::pow(10.0, static_cast<double>(-places));
  return std::nearbyint(value / scale) * scale;
}

Result<std::int64_t> round_integer(std::int64_t value, std::int64_t places) {
  if (places >= 0) return value;
  if (places < -18) return std::int64_t{0};
  std::int64_t scale = 1;
  for (std::int64_t i = 0; i > places; --i) scale *= 10;
  std::int64_t quotient = value / scale;
  const std::int64_t rest = std::abs(value % scale);
  if (rest * 2 > scale || (rest * 2 == scale && quotient % 2 != 0)) quotient += value < 0 ? -1 : 1;
  std::int64_t result = 0;
  if (__builtin_mul_overflow(quotient, scale, &result))
    return fail("the result does not fit an integer of 64 bits");
  return result;
}

Result<Value> filter_round(Environment& /*env*/, const Value& input, const Arguments& arguments) {
  STERNA_TRY(const Bound bound, Bound::bind("round", arguments, {"precision", "method"}));
  STERNA_TRY(const std::int64_t places, bound.integer(0, 0));
  STERNA_TRY(const Text* given, bound.text(1));
  const std::string_view method = given == nullptr ? "common" : given->view();
  if (method != "common" && method != "ceil" && method != "floor")
    return fail("round knows common, ceil and floor");
  if (!input.is_number())
    return input.is_undefined() ? input.undefined_error()
                                : fail("round needs a number, not {}", type_name(input));
  if (method == "common") {
    const auto integer = input.integer();
    if (!integer) return Value(round_float(*input.floating(), places));
    STERNA_TRY(const std::int64_t rounded, round_integer(*integer, places));
    return Value(rounded);
  }
  const double scale = std::pow(10.0, static_cast<double>(places));
  const double scaled = input.as_double() * scale;
  if (!std::isfinite(scaled)) return fail("the number is too large to round");
  return Value((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / scale);
}

constexpr auto kFilters = std::to_array<NamedFilter>({
    {"abs", filter_abs},
    {"float", filter_float},
    {"int", filter_int},
    {"round", filter_round},
});

}  // namespace

std::span<const NamedFilter> number_filters() { return kFilters; }

}  // namespace sterna::runtime::jinja
