#include "runtime/chat_template/formatting.h"

#include <fmt/format.h>

#include <cmath>
#include <optional>

#include "runtime/chat_template/printing.h"
#include "runtime/chat_template/unicode.h"

namespace sterna::runtime::jinja {
namespace {

constexpr std::int64_t kMostDigits = 4096;

// One conversion of either syntax, in the terms of format():
// [[fill]align][sign][#][0][width][,][.precision][type].
struct Spec {
  Text fill = Text(" ");
  char align = 0;  // < > ^ =
  char sign = '-';
  bool alternate = false;
  std::size_t width = 0;
  char grouping = 0;
  std::optional<int> precision;
  char type = 0;
};

// A decimal number at `at`, which moves behind it; nothing when there is no digit.
Result<std::optional<std::int64_t>> read_number(std::string_view text, std::size_t& at) {
  std::optional<std::int64_t> number;
  while (at < text.size() && text[at] >= '0' && text[at] <= '9') {
    number = number.value_or(0) * 10 + (text[at++] - '0');
    if (*number > 1'000'000'000) return fail("a number in a format is too large");
  }
  return number;
}

Status set_precision(Spec& spec, std::int64_t precision) {
  if (precision > kMostDigits) return fail("a precision of {} digits is too large", precision);
  spec.precision = static_cast<int>(precision);
  return {};
}

std::string with_grouping(std::string digits, char grouping, std::size_t every) {
  const std::size_t whole = std::min(digits.find_first_not_of("0123456789abcdefABCDEF"), digits.size());
  for (std::size_t at = whole; at > every; at -= every)
    digits.insert(digits.begin() + static_cast<std::ptrdiff_t>(at - every), grouping);
  return digits;
}

// The digits of a magnitude, without sign.
std::string integer_digits(std::uint64_t magnitude, const Spec& spec) {
  switch (spec.type) {
    case 'x':
      return fmt::format("{}{:x}", spec.alternate ? "0x" : "", magnitude);
    case 'X':
      return fmt::format("{}{:X}", spec.alternate ? "0X" : "", magnitude);
    case 'o':
      return fmt::format("{}{:o}", spec.alternate ? "0o" : "", magnitude);
    case 'b':
      return fmt::format("{}{:b}", spec.alternate ? "0b" : "", magnitude);
    default:
      return fmt::format("{}", magnitude);
  }
}

std::string float_digits(double magnitude, const Spec& spec) {
  const bool upper = spec.type == 'E' || spec.type == 'F' || spec.type == 'G';
  if (!std::isfinite(magnitude)) {
    const std::string name = std::isnan(magnitude) ? (upper ? "NAN" : "nan") : (upper ? "INF" : "inf");
    return spec.type == '%' ? fmt::format("{}%", name) : name;
  }
  const int precision = spec.precision.value_or(6);
  switch (spec.type) {
    case 'e':
      return fmt::format("{:.{}e}", magnitude, precision);
    case 'E':
      return fmt::format("{:.{}E}", magnitude, precision);
    case 'f':
    case 'F':
      return fmt::format("{:.{}f}", magnitude, precision);
    case 'g':
      return fmt::format("{:.{}g}", magnitude, precision);
    case 'G':
      return fmt::format("{:.{}G}", magnitude, precision);
    case '%':
      return fmt::format("{:.{}f}%", magnitude * 100, precision);
    default:
      break;
  }
  if (!spec.precision) return float_repr(magnitude);
  std::string text = fmt::format("{:.{}g}", magnitude, std::max(precision, 1));
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

Result<Text> aligned(Budget& budget, const Text& text, const Spec& spec, char default_align) {
  const std::size_t length = count_code_points(text.view());
  if (length >= spec.width) return text;
  const std::size_t missing = spec.width - length;
  const char align = spec.align == 0 ? default_align : spec.align;
  const std::size_t left = align == '<' ? 0 : (align == '^' ? missing / 2 : missing);
  return pad(budget, text, left, missing - left, spec.fill);
}

Result<Text> format_number_text(Budget& budget, bool negative, std::string digits, const Spec& spec) {
  if (spec.grouping != 0) {
    const bool by_four = spec.type == 'x' || spec.type == 'X' || spec.type == 'o' || spec.type == 'b';
    digits = with_grouping(std::move(digits), spec.grouping, by_four ? 4 : 3);
  }
  std::string sign;
  if (negative || spec.sign != '-') sign += negative ? '-' : spec.sign;
  if (spec.align != '=') return aligned(budget, Text(fmt::format("{}{}", sign, digits)), spec, '>');
  // Padding goes between the sign (and the prefix of the base) and the digits.
  if (spec.alternate && digits.size() > 2 && digits[0] == '0' && digits[1] > '9') {
    sign.append(digits, 0, 2);
    digits.erase(0, 2);
  }
  Text result(sign);
  Spec inner = spec;
  inner.align = '>';
  inner.width = spec.width > sign.size() ? spec.width - sign.size() : 0;
  STERNA_TRY(const Text padded, aligned(budget, Text(digits), inner, '>'));
  result.append(padded);
  return result;
}

Result<Text> format_integer(Budget& budget, std::int64_t value, const Spec& spec) {
  const auto magnitude =
      value < 0 ? 0 - static_cast<std::uint64_t>(value) : static_cast<std::uint64_t>(value);
  return format_number_text(budget, value < 0, integer_digits(magnitude, spec), spec);
}

Result<Text> format_float(Budget& budget, double value, const Spec& spec) {
  const bool negative = std::signbit(value) && !std::isnan(value);
  return format_number_text(budget, negative, float_digits(std::fabs(value), spec), spec);
}

Result<Text> format_string(Budget& budget, const Text& value, const Spec& spec) {
  if (!spec.precision) return aligned(budget, value, spec, '<');
  return aligned(budget, value.slice(0, byte_offset(value.view(), static_cast<std::size_t>(*spec.precision))),
                 spec, '<');
}

// ---- "%" ----

class PercentFormat {
 public:
  PercentFormat(Budget& budget, const Text& format, const Value& values)
      : budget_(budget), format_(format), bytes_(format.view()), values_(values) {
    const Sequence* sequence = values.sequence();
    tuple_ = sequence != nullptr && sequence->tuple ? sequence : nullptr;
  }

  Result<Text> run() {
    while (at_ < bytes_.size()) {
      const std::size_t percent = std::min(bytes_.find('%', at_), bytes_.size());
      const std::size_t before = result_.cost();
      result_.append_slice(format_, at_, percent);
      at_ = percent;
      if (at_ < bytes_.size()) STERNA_CHECK(convert());
      STERNA_CHECK(budget_.spend(1));
      STERNA_CHECK(budget_.spend_growth(before, result_.cost()));
    }
    const bool all_used = tuple_ != nullptr ? next_ == tuple_->items.size() : (next_ == 1 || has_keys());
    if (!all_used) return fail("not all values were used by the format");
    return std::move(result_);
  }

 private:
  // What Python's PyMapping_Check accepts, for which unused values are no error.
  [[nodiscard]] bool has_keys() const {
    return values_.mapping() != nullptr || values_.sequence() != nullptr || values_.is_undefined() ||
           values_.object_as<Range>() != nullptr;
  }

  Result<Value> next_value() {
    if (keyed_) return *keyed_;
    if (tuple_ != nullptr && next_ < tuple_->items.size()) return tuple_->items[next_++];
    if (tuple_ != nullptr || next_ > 0) return fail("not enough values for the format");
    ++next_;
    return values_;
  }

  Status read_key() {
    keyed_.reset();
    if (at_ >= bytes_.size() || bytes_[at_] != '(') return {};
    const std::size_t close = bytes_.find(')', at_);
    if (close == std::string_view::npos) return fail("a key in the format is not closed");
    if (values_.mapping() == nullptr) return fail("a format with keys needs a dict");
    STERNA_CHECK(budget_.spend(values_.mapping()->entries.size() / 32));
    const Value* found = find(*values_.mapping(), bytes_.substr(at_ + 1, close - at_ - 1));
    if (found == nullptr)
      return fail("the format wants the key '{}', which is missing",
                  excerpt(bytes_.substr(at_ + 1, close - at_ - 1)));
    keyed_ = *found;
    at_ = close + 1;
    return {};
  }

  // Digits, or * for the next value; nothing when neither is there.
  Result<std::optional<std::int64_t>> read_amount() {
    if (at_ >= bytes_.size() || bytes_[at_] != '*') return read_number(bytes_, at_);
    ++at_;
    STERNA_TRY(const Value value, next_value());
    const auto amount = value.integer();
    if (!amount || *amount > 1'000'000'000 || *amount < -1'000'000'000)
      return fail("'*' in a format needs a small integer");
    return amount;
  }

  Status read_spec(Spec& spec) {
    STERNA_CHECK(read_key());
    bool zero = false;
    for (; at_ < bytes_.size() && std::string_view("#0- +").find(bytes_[at_]) != std::string_view::npos;
         ++at_) {
      switch (bytes_[at_]) {
        case '#':
          spec.alternate = true;
          break;
        case '0':
          zero = true;
          break;
        case '-':
          spec.align = '<';
          break;
        case '+':
          spec.sign = '+';
          break;
        default:
          if (spec.sign != '+') spec.sign = ' ';
      }
    }
    STERNA_TRY(const auto width, read_amount());
    if (width && *width < 0) spec.align = '<';
    spec.width = static_cast<std::size_t>(std::abs(width.value_or(0)));
    if (at_ < bytes_.size() && bytes_[at_] == '.') {
      ++at_;
      STERNA_TRY(const auto precision, read_amount());
      STERNA_CHECK(set_precision(spec, std::max<std::int64_t>(precision.value_or(0), 0)));
    }
    while (at_ < bytes_.size() && std::string_view("hlL").find(bytes_[at_]) != std::string_view::npos) ++at_;
    if (at_ >= bytes_.size()) return fail("the format ends within a conversion");
    spec.type = bytes_[at_++];
    if (zero && spec.align == 0 &&
        std::string_view("diuoxXeEfFgG").find(spec.type) != std::string_view::npos) {
      spec.align = '=';
      spec.fill = Text("0");
    }
    return {};
  }

  Status convert() {
    ++at_;
    Spec spec;
    STERNA_CHECK(read_spec(spec));
    if (spec.type == '%') {
      result_.append("%", false);
      return {};
    }
    STERNA_TRY(const Value value, next_value());
    STERNA_TRY(const Text piece, convert_value(value, spec));
    result_.append(piece);
    return {};
  }

  Result<Text> convert_value(const Value& value, const Spec& spec) {
    switch (spec.type) {
      case 's':
      case 'r':
      case 'a': {
        STERNA_TRY(const Text text, spec.type == 's' ? to_text(budget_, value) : to_repr(budget_, value));
        Spec right = spec;
        if (right.align == 0) right.align = '>';
        return format_string(budget_, text, right);
      }
      case 'd':
      case 'i':
      case 'u':
      case 'o':
      case 'x':
      case 'X':
        return convert_integer(value, spec);
      case 'c':
        return convert_character(value, spec);
      case 'e':
      case 'E':
      case 'f':
      case 'F':
      case 'g':
      case 'G':
        if (!value.is_number()) return fail("'%{}' needs a number, not {}", spec.type, type_name(value));
        return format_float(budget_, value.as_double(), spec);
      default:
        return fail("'%{}' is not a conversion", spec.type);
    }
  }

  Result<Text> convert_integer(const Value& value, const Spec& spec) {
    auto integer = value.integer();
    const bool decimal = spec.type == 'd' || spec.type == 'i' || spec.type == 'u';
    if (const double* number = value.floating(); number != nullptr && decimal && std::fabs(*number) < 9e18) {
      integer = static_cast<std::int64_t>(*number);
    }
    if (!integer) return fail("'%{}' needs an integer, not {}", spec.type, type_name(value));
    const std::uint64_t magnitude =
        *integer < 0 ? 0 - static_cast<std::uint64_t>(*integer) : static_cast<std::uint64_t>(*integer);
    std::string digits = integer_digits(magnitude, spec);
    const std::size_t prefix = spec.alternate && !decimal ? 2 : 0;
    const std::size_t least = prefix + static_cast<std::size_t>(spec.precision.value_or(0));
    if (digits.size() < least) {
      digits.insert(digits.begin() + static_cast<std::ptrdiff_t>(prefix), least - digits.size(), '0');
    }
    return format_number_text(budget_, *integer < 0, std::move(digits), spec);
  }

  Result<Text> convert_character(const Value& value, const Spec& spec) {
    Spec right = spec;
    if (right.align == 0) right.align = '>';
    right.precision.reset();
    if (const Text* text = value.text(); text != nullptr && count_code_points(text->view()) == 1) {
      return format_string(budget_, *text, right);
    }
    const auto code = value.integer();
    if (!code || *code < 0 || *code > 0x10FFFF || (*code >= 0xD800 && *code < 0xE000)) {
      return fail("'%c' needs one character");
    }
    std::string bytes;
    append_utf8(bytes, static_cast<char32_t>(*code));
    return format_string(budget_, Text(bytes, true), right);  // a number does not tell where it came from
  }

  Budget& budget_;
  const Text& format_;
  std::string_view bytes_;
  const Value& values_;
  const Sequence* tuple_ = nullptr;
  std::size_t at_ = 0;
  std::size_t next_ = 0;
  std::optional<Value> keyed_;
  Text result_;
};

// ---- "{}" ----

bool is_align(char c) { return c == '<' || c == '>' || c == '^' || c == '='; }

Result<Spec> parse_spec(const Text& source) {
  const std::string_view text = source.view();
  Spec spec;
  std::size_t at = 0;
  if (!text.empty()) {
    std::size_t after_fill = 0;
    decode(text, after_fill);
    if (after_fill < text.size() && is_align(text[after_fill])) {
      spec.fill = source.slice(0, after_fill);
      spec.align = text[after_fill];
      at = after_fill + 1;
    } else if (is_align(text[0])) {
      spec.align = text[at++];
    }
  }
  const auto take = [&](std::string_view any) {
    return at < text.size() && any.find(text[at]) != std::string_view::npos ? text[at++] : '\0';
  };
  if (const char sign = take("+- "); sign != 0) spec.sign = sign;
  spec.alternate = take("#") != 0;
  if (take("0") != 0 && spec.align == 0) {
    spec.align = '=';
    spec.fill = Text("0");
  }
  STERNA_TRY(const auto width, read_number(text, at));
  spec.width = static_cast<std::size_t>(width.value_or(0));
  spec.grouping = take(",_");
  if (take(".") != 0) {
    STERNA_TRY(const auto precision, read_number(text, at));
    if (!precision) return fail("the format '{}' lacks its precision", excerpt(text));
    STERNA_CHECK(set_precision(spec, *precision));
  }
  if (at < text.size()) spec.type = text[at++];
  if (at != text.size()) return fail("'{}' is not a format", excerpt(text));
  return spec;
}

Result<Text> format_value(Budget& budget, const Value& value, const Text& spec_text) {
  if (spec_text.empty()) return to_text(budget, value);
  STERNA_TRY(Spec spec, parse_spec(spec_text));
  const auto type_in = [&](std::string_view types) {
    return spec.type == 0 || types.find(spec.type) != std::string_view::npos;
  };
  if (const Text* text = value.text()) {
    const bool numeric = spec.sign != '-' || spec.alternate || spec.grouping != 0;
    if (spec.align == '=' && spec.fill.view() == "0")
      spec.align = '<';  // a leading 0 only fills, for a string
    if (!type_in("s") || spec.align == '=' || numeric)
      return fail("'{}' is not a format for a string", excerpt(spec_text.view()));
    return format_string(budget, *text, spec);
  }
  if (const auto integer = value.integer(); integer && type_in("dboxXn")) {
    if (spec.precision) return fail("an integer has no precision");
    return format_integer(budget, *integer, spec);
  }
  if (const auto integer = value.integer(); integer && spec.type == 'c') {
    if (*integer < 0 || *integer > 0x10FFFF || (*integer >= 0xD800 && *integer < 0xE000))
      return fail("'c' needs a character");
    std::string bytes;
    append_utf8(bytes, static_cast<char32_t>(*integer));
    return format_string(budget, Text(bytes, true), spec);  // a number does not tell where it came from
  }
  if (value.is_number() && type_in("eEfFgG%")) return format_float(budget, value.as_double(), spec);
  return fail("'{}' is not a format for a value of type {}", excerpt(spec_text.view()), type_name(value));
}

class BraceFormat {
 public:
  BraceFormat(Environment& env, const Arguments& arguments) : env_(env), arguments_(arguments) {}

  Result<Text> run(const Text& format, int level) {
    if (level > 1) return fail("a format is nested too deeply");
    const std::string_view bytes = format.view();
    Text result;
    for (std::size_t at = 0; at < bytes.size();) {
      STERNA_CHECK(env_.budget.spend(1 + arguments_.named.size() / 32));
      const std::size_t before = result.cost();
      const std::size_t brace = std::min(bytes.find_first_of("{}", at), bytes.size());
      result.append_slice(format, at, brace);
      at = brace;
      if (at == bytes.size()) break;
      if (at + 1 < bytes.size() && bytes[at + 1] == bytes[at]) {
        result.append_slice(format, at, at + 1);
        at += 2;
        continue;
      }
      if (bytes[at] == '}') return fail("a single '}}' in a format");
      STERNA_TRY(const std::size_t end, field_end(bytes, at));
      STERNA_TRY(const Text piece, field(format.slice(at + 1, end), level));
      result.append(piece);
      at = end + 1;
      STERNA_CHECK(env_.budget.spend_growth(before, result.cost()));
    }
    return result;
  }

 private:
  static Result<std::size_t> field_end(std::string_view bytes, std::size_t open) {
    int nested = 0;
    for (std::size_t at = open; at < bytes.size(); ++at) {
      nested += bytes[at] == '{' ? 1 : (bytes[at] == '}' ? -1 : 0);
      if (nested == 0) return at;
    }
    return fail("a '{{' in a format is not closed");
  }

  // name[!conversion][:spec]
  Result<Text> field(const Text& text, int level) {
    const std::string_view bytes = text.view();
    const std::size_t name_end = std::min(bytes.find_first_of("!:"), bytes.size());
    STERNA_TRY(Value value, lookup(bytes.substr(0, name_end)));
    std::size_t at = name_end;
    if (at < bytes.size() && bytes[at] == '!') {
      const char conversion = at + 1 < bytes.size() ? bytes[at + 1] : '\0';
      at += 2;
      if (conversion != 's' && conversion != 'r')
        return fail("'!{}' is not a conversion", excerpt(bytes.substr(name_end + 1)));
      if (at < bytes.size() && bytes[at] != ':') return fail("a format expects ':' behind the conversion");
      STERNA_TRY(Text converted,
                 conversion == 'r' ? to_repr(env_.budget, value) : to_text(env_.budget, value));
      value = Value(std::move(converted));
    }
    if (at >= bytes.size()) return format_value(env_.budget, value, Text());
    STERNA_TRY(const Text spec, run(text.slice(at + 1, bytes.size()), level + 1));
    return format_value(env_.budget, value, spec);
  }

  Result<Value> lookup(std::string_view path) {
    const std::size_t first_end = std::min(path.find_first_of(".["), path.size());
    STERNA_TRY(Value value, argument(path.substr(0, first_end)));
    std::size_t at = first_end;
    while (at < path.size()) {
      const bool attribute = path[at] == '.';
      const std::size_t end =
          attribute ? std::min(path.find_first_of(".[", at + 1), path.size()) : path.find(']', at);
      if (end == std::string_view::npos) return fail("a '[' in a format is not closed");
      const std::string_view name = path.substr(at + 1, end - at - 1);
      if (name.empty()) return fail("an empty attribute in a format");
      std::size_t digits = 0;
      STERNA_TRY(const auto index, read_number(name, digits));
      const Value key = index && digits == name.size() ? Value(*index) : Value::string(name);
      STERNA_TRY(value, attribute ? get_attribute(env_, value, name) : get_item(env_, value, key));
      at = attribute ? end : end + 1;
    }
    return value;
  }

  Result<Value> argument(std::string_view name) {
    std::size_t digits = 0;
    STERNA_TRY(const auto number, read_number(name, digits));
    if (!name.empty() && !(number && digits == name.size())) {
      for (const auto& [key, value] : arguments_.named) {
        if (key == name) return value;
      }
      return fail("the format wants '{}', which was not given", excerpt(name));
    }
    const bool automatic = name.empty();
    if ((automatic && numbering_ == Numbering::manual) ||
        (!automatic && numbering_ == Numbering::automatic)) {
      return fail("a format mixes '{{}}' with numbered fields");
    }
    numbering_ = automatic ? Numbering::automatic : Numbering::manual;
    const std::size_t index = automatic ? next_++ : static_cast<std::size_t>(*number);
    if (index >= arguments_.positional.size()) return fail("not enough values for the format");
    return arguments_.positional[index];
  }

  enum class Numbering { unknown, automatic, manual };
  Environment& env_;
  const Arguments& arguments_;
  Numbering numbering_ = Numbering::unknown;
  std::size_t next_ = 0;
};

}  // namespace

Result<Text> format_percent(Budget& budget, const Text& format, const Value& values) {
  return PercentFormat(budget, format, values).run();
}

Result<Text> format_braces(Environment& env, const Text& format, const Arguments& arguments) {
  return BraceFormat(env, arguments).run(format, 0);
}

}  // namespace sterna::runtime::jinja
