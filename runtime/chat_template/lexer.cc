#include "runtime/chat_template/lexer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "runtime/chat_template/unicode.h"

namespace sterna::runtime::jinja {
namespace {

bool is_decimal_digit(char c) { return c >= '0' && c <= '9'; }

int hex_value(char c) {
  if (is_decimal_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

// Every line break becomes \n, and one at the very end goes.
std::string normalize_newlines(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
      out += '\n';
    } else {
      out += source[i];
    }
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

// The escapes of Python's string literals. A backslash before a character beyond ASCII leaves the escape
// sequence of that character as text, as Jinja does, which escapes such characters before it reads escapes.
class Unescaper {
 public:
  explicit Unescaper(std::string_view text) : text_(text) {}

  bool run(std::string& out) {
    while (at_ < text_.size()) {
      if (text_[at_] != '\\' || at_ + 1 == text_.size()) {
        out += text_[at_++];
        continue;
      }
      ++at_;
      if (!escape(out)) return false;
    }
    return true;
  }

 private:
  bool escape(std::string& out) {
    constexpr std::string_view kLetters = "\\'\"abfnrtv";
    constexpr std::string_view kMeanings = "\\'\"\a\b\f\n\r\t\v";
    const char letter = text_[at_];
    if (const auto found = kLetters.find(letter); found != std::string_view::npos) {
      out += kMeanings[found];
      ++at_;
      return true;
    }
    switch (letter) {
      case '\n':
        ++at_;
        return true;
      case 'x':
        return hexadecimal(out, 2);
      case 'u':
        return hexadecimal(out, 4);
      case 'U':
        return hexadecimal(out, 8);
      case 'N':
        return false;  // names of characters are not supported
      default:
        break;
    }
    if (letter >= '0' && letter <= '7') return octal(out);
    const char32_t c = decode(text_, at_);
    const auto number = static_cast<std::uint32_t>(c);
    if (c < 0x80) {
      out += '\\';
      append_utf8(out, c);
    } else {
      out += c < 0x100 ? fmt::format("\\x{:02x}", number)
                       : (c < 0x10000 ? fmt::format("\\u{:04x}", number) : fmt::format("\\U{:08x}", number));
    }
    return true;
  }

  bool hexadecimal(std::string& out, std::size_t digits) {
    ++at_;
    if (at_ + digits > text_.size()) return false;
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < digits; ++i) {
      const int digit = hex_value(text_[at_ + i]);
      if (digit < 0) return false;
      value = value * 16 + static_cast<std::uint64_t>(digit);
    }
    at_ += digits;
    if (value > 0x10FFFF || (value >= 0xD800 && value < 0xE000)) return false;
    append_utf8(out, static_cast<char32_t>(value));
    return true;
  }

  bool octal(std::string& out) {
    char32_t value = 0;
    for (int i = 0; i < 3 && at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '7'; ++i) {
      value = value * 8 + static_cast<char32_t>(text_[at_++] - '0');
    }
    append_utf8(out, value);
    return true;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

class Lexer {
 public:
  Lexer(std::string_view source, std::vector<Token>& tokens, SyntaxError& error)
      : source_(normalize_newlines(source)), text_(source_), tokens_(tokens), error_(error) {}

  bool run() {
    while (at_ < text_.size()) {
      if (!root()) return false;
    }
    emit(Token::Kind::end);
    return true;
  }

 private:
  [[nodiscard]] bool starts(std::string_view what, std::size_t offset = 0) const {
    return text_.substr(std::min(at_ + offset, text_.size())).starts_with(what);
  }
  [[nodiscard]] char peek(std::size_t offset = 0) const {
    return at_ + offset < text_.size() ? text_[at_ + offset] : '\0';
  }

  void advance_to(std::size_t position) {
    line_ += static_cast<int>(std::count(text_.begin() + static_cast<std::ptrdiff_t>(at_),
                                         text_.begin() + static_cast<std::ptrdiff_t>(position), '\n'));
    at_ = position;
  }

  Token& emit(Token::Kind kind, std::string_view text = {}) {
    Token& token = tokens_.emplace_back();
    token.kind = kind;
    token.line = line_;
    token.text = std::string(text);
    return token;
  }

  bool fail_at(int line, std::string message) {
    error_ = {line, std::move(message)};
    return false;
  }

  [[nodiscard]] std::size_t skip_space(std::size_t position) const {
    for (std::size_t at = position; position < text_.size() && is_space(decode(text_, at));) position = at;
    return position;
  }

  // Text up to a tag, by the rules for the white space before it. `sign` is the - or + behind the opening.
  void emit_data(std::string_view data, char sign, bool is_variable) {
    const bool line_starting = at_ == 0 || text_[at_ - 1] == '\n';
    if (sign == '-') {
      while (!data.empty()) {
        const std::size_t last = previous_code_point(data, data.size());
        std::size_t at = last;
        if (!is_space(decode(data, at))) break;
        data = data.substr(0, last);
      }
    } else if (sign != '+' && !is_variable) {
      const std::size_t newline = data.rfind('\n');
      const std::size_t line = newline == std::string_view::npos ? 0 : newline + 1;
      const std::string_view indent = data.substr(line);
      bool blank = true;
      for (std::size_t at = 0; blank && at < indent.size();) blank = is_space(decode(indent, at));
      if (blank && (line > 0 || line_starting)) data = data.substr(0, line);
    }
    if (!data.empty()) emit(Token::Kind::data, data);
  }

  [[nodiscard]] static char sign_of(char c) { return c == '-' || c == '+' ? c : '\0'; }

  bool root() {
    std::size_t open = at_;
    while (true) {
      open = text_.find('{', open);
      if (open == std::string_view::npos || open + 1 == text_.size()) {
        emit(Token::Kind::data, text_.substr(at_));
        advance_to(text_.size());
        return true;
      }
      const char kind = text_[open + 1];
      if (kind == '%' || kind == '{' || kind == '#') break;
      ++open;
    }
    const char kind = text_[open + 1];
    const char sign = sign_of(open + 2 < text_.size() ? text_[open + 2] : '\0');
    emit_data(text_.substr(at_, open - at_), sign, kind == '{');
    advance_to(open + 2 + (sign != '\0' ? 1 : 0));
    if (kind == '#') return comment();
    if (kind == '{') return tag(Token::Kind::variable_begin);
    if (const auto body = raw_body()) return raw(*body);
    return tag(Token::Kind::block_begin);
  }

  // Behind an opening "{%": where the content of a raw block begins, if it is one.
  [[nodiscard]] std::optional<std::size_t> raw_body() const {
    std::size_t at = skip_space(at_);
    if (!text_.substr(at).starts_with("raw")) return std::nullopt;
    at = skip_space(at + 3);
    if (text_.substr(at).starts_with("-%}")) return skip_space(at + 3);
    if (text_.substr(at).starts_with("%}")) return at + 2;
    return std::nullopt;
  }

  // Behind a closing tag, with its - or + and what it strips; nothing if it is not one.
  [[nodiscard]] std::optional<std::size_t> closing(std::size_t at, std::string_view tag, bool plus_allowed,
                                                   bool trims) const {
    const std::string_view rest = text_.substr(std::min(at, text_.size()));
    if (rest.starts_with('-') && rest.substr(1).starts_with(tag)) return skip_space(at + 1 + tag.size());
    if (plus_allowed && rest.starts_with('+') && rest.substr(1).starts_with(tag)) return at + 1 + tag.size();
    if (!rest.starts_with(tag)) return std::nullopt;
    const std::size_t end = at + tag.size();
    return trims && end < text_.size() && text_[end] == '\n' ? end + 1 : end;
  }

  bool comment() {
    const std::size_t end = text_.find("#}", at_);
    if (end == std::string_view::npos) return fail_at(line_, "a comment is not closed; add '#}'");
    const bool signed_close = end > at_ && (text_[end - 1] == '-' || text_[end - 1] == '+');
    advance_to(*closing(signed_close ? end - 1 : end, "#}", true, true));
    return true;
  }

  bool raw(std::size_t begin) {
    const int line = line_;
    advance_to(begin);
    for (std::size_t open = text_.find("{%", at_); open != std::string_view::npos;
         open = text_.find("{%", open + 1)) {
      const char sign = sign_of(open + 2 < text_.size() ? text_[open + 2] : '\0');
      const std::size_t word = skip_space(open + 2 + (sign != '\0' ? 1 : 0));
      if (!text_.substr(word).starts_with("endraw")) continue;
      const auto end = closing(skip_space(word + 6), "%}", true, true);
      if (!end) continue;
      emit_data(text_.substr(at_, open - at_), sign, false);
      advance_to(*end);
      return true;
    }
    return fail_at(line, "a raw block is not closed; add '{% endraw %}'");
  }

  bool tag(Token::Kind begin) {
    const bool block = begin == Token::Kind::block_begin;
    emit(begin);
    std::string brackets;  // the closing ones that are awaited
    while (at_ < text_.size()) {
      if (brackets.empty()) {
        if (const auto end = closing(at_, block ? "%}" : "}}", block, block)) {
          emit(block ? Token::Kind::block_end : Token::Kind::variable_end);
          advance_to(*end);
          return true;
        }
      }
      if (const std::size_t next = skip_space(at_); next != at_) {
        advance_to(next);
      } else if (!token(brackets)) {
        return false;
      }
    }
    return true;  // the parser reports the missing end
  }

  bool token(std::string& brackets) {
    const char c = peek();
    if (is_decimal_digit(c)) return number();
    if (c == '\'' || c == '"') return string(c);
    std::size_t at = at_;
    if (is_word(decode(text_, at))) return name();
    return operation(brackets);
  }

  bool name() {
    std::size_t end = at_;
    for (std::size_t at = end; end < text_.size(); end = at) {
      const char32_t c = decode(text_, at);
      if (!is_word(c)) break;
    }
    constexpr std::size_t kLongestName = 256;
    if (end - at_ > kLongestName)
      return fail_at(line_, fmt::format("a name has {} bytes, the limit is {}", end - at_, kLongestName));
    emit(Token::Kind::name, text_.substr(at_, end - at_));
    advance_to(end);
    return true;
  }

  bool string(char quote) {
    std::size_t end = at_ + 1;
    while (end < text_.size() && text_[end] != quote) end += text_[end] == '\\' ? 2 : 1;
    if (end >= text_.size()) return fail_at(line_, "a string is not closed");
    std::string value;
    if (!Unescaper(text_.substr(at_ + 1, end - at_ - 1)).run(value)) {
      return fail_at(line_, "a string has an escape sequence that is not valid here");
    }
    emit(Token::Kind::string, value);
    advance_to(end + 1);
    return true;
  }

  // Digits with single _ between them, from `at`; returns where they end, `at` itself if there are none.
  template <class IsDigit>
  [[nodiscard]] std::size_t digits_end(std::size_t at, const IsDigit& is_digit_here) const {
    const auto digit_at = [&](std::size_t i) { return i < text_.size() && is_digit_here(text_[i]); };
    if (!digit_at(at)) return at;
    while (digit_at(at) || (at < text_.size() && text_[at] == '_' && digit_at(at + 1))) ++at;
    return at;
  }

  bool number() {
    std::size_t end = digits_end(at_, is_decimal_digit);
    const bool after_dot = at_ > 0 && text_[at_ - 1] == '.';
    bool floating = false;
    if (!after_dot) {
      std::size_t at = end;
      if (at < text_.size() && text_[at] == '.') {
        const std::size_t fraction = digits_end(at + 1, is_decimal_digit);
        if (fraction > at + 1) at = fraction;
      }
      floating = at != end;
      end = at;
      if (end < text_.size() && (text_[end] == 'e' || text_[end] == 'E')) {
        const std::size_t sign =
            end + 1 < text_.size() && (text_[end + 1] == '+' || text_[end + 1] == '-') ? 1 : 0;
        const std::size_t exponent = digits_end(end + 1 + sign, is_decimal_digit);
        floating = floating || exponent > end + 1 + sign;
        if (exponent > end + 1 + sign) end = exponent;
      }
    }
    return floating ? float_number(end) : integer_number();
  }

  [[nodiscard]] std::string without_underscores(std::size_t begin, std::size_t end) const {
    std::string digits(text_.substr(begin, end - begin));
    digits.erase(std::remove(digits.begin(), digits.end(), '_'), digits.end());
    return digits;
  }

  bool float_number(std::size_t end) {
    const std::string digits = without_underscores(at_, end);
    double value = 0;
    const auto [stop, code] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (code != std::errc()) return fail_at(line_, fmt::format("the number {} does not fit a float", digits));
    emit(Token::Kind::floating).number = value;
    advance_to(end);
    return true;
  }

  bool integer_number() {
    const char letter = static_cast<char>(peek(1) | 0x20);
    const bool zero = peek() == '0';
    int base = 10;
    std::size_t begin = at_;
    std::size_t end = at_;
    const auto in_base = [&](char c) { return hex_value(c) >= 0 && hex_value(c) < base; };
    if (zero && (letter == 'x' || letter == 'o' || letter == 'b')) {
      base = letter == 'x' ? 16 : (letter == 'o' ? 8 : 2);
      begin = at_ + 2 + (peek(2) == '_' ? 1 : 0);
      end = digits_end(begin, in_base);
    }
    if (end <= begin) {  // no digit behind the prefix: the 0 stands alone
      base = zero ? 1 : 10;
      begin = at_;
      end = digits_end(begin, in_base);
    }
    const std::string digits = without_underscores(begin, end);
    std::int64_t value = 0;
    const auto [stop, code] =
        std::from_chars(digits.data(), digits.data() + digits.size(), value, std::max(base, 2));
    if (code != std::errc()) return fail_at(line_, fmt::format("the number {} does not fit 64 bits", digits));
    emit(Token::Kind::integer).integer = value;
    advance_to(end);
    return true;
  }

  bool operation(std::string& brackets) {
    constexpr auto kDouble = std::to_array<std::string_view>({"//", "**", "==", "!=", ">=", "<="});
    constexpr std::string_view kSingle = "+-/*%~[](){}><=.:|,;";
    std::size_t length = kSingle.find(peek()) != std::string_view::npos ? 1 : 0;
    if (std::any_of(kDouble.begin(), kDouble.end(), [&](std::string_view op) { return starts(op); }))
      length = 2;
    if (length == 0) {
      std::size_t end = at_;
      decode(text_, end);
      return fail_at(line_, fmt::format("unexpected character '{}'", text_.substr(at_, end - at_)));
    }
    const char c = peek();
    if (c == '(') brackets += ')';
    if (c == '[') brackets += ']';
    if (c == '{') brackets += '}';
    if (c == ')' || c == ']' || c == '}') {
      if (brackets.empty()) return fail_at(line_, fmt::format("unexpected '{}'", c));
      if (brackets.back() != c)
        return fail_at(line_, fmt::format("unexpected '{}', expected '{}'", c, brackets.back()));
      brackets.pop_back();
    }
    emit(Token::Kind::op, text_.substr(at_, length));
    advance_to(at_ + length);
    return true;
  }

  std::string source_;
  std::string_view text_;
  std::vector<Token>& tokens_;
  SyntaxError& error_;
  std::size_t at_ = 0;
  int line_ = 1;
};

}  // namespace

bool tokenize(std::string_view source, std::vector<Token>& tokens, SyntaxError& error) {
  return Lexer(source, tokens, error).run();
}

}  // namespace sterna::runtime::jinja
