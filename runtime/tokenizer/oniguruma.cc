#include "runtime/tokenizer/oniguruma.h"

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include "runtime/tokenizer/character_property.h"
#include "runtime/tokenizer/unicode.h"

namespace sterna::runtime::tokenization {

namespace {

constexpr int kDeepestClass = 16;

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

class Translator {
 public:
  explicit Translator(std::string_view source) : source_(source) {}

  Result<std::string> run() {
    while (!at_end()) STERNA_CHECK(element());
    return std::move(out_);
  }

 private:
  // The operands of a character class: what can stand between brackets, and what can only be alternatives to
  // them.
  struct Union {
    std::string body;
    std::vector<std::string> alternatives;
    void add(const CharacterSet& set) {
      if (set.negated) {
        alternatives.push_back("[^" + set.body + "]");
      } else {
        body += set.body;
      }
    }
    [[nodiscard]] std::string expression() const {
      if (alternatives.empty()) return body.empty() ? "(?!)" : "[" + body + "]";
      std::string out = body.empty() ? "(?:" : "(?:[" + body + "]|";
      for (std::size_t i = 0; i < alternatives.size(); ++i) out += (i == 0 ? "" : "|") + alternatives[i];
      return out + ")";
    }
  };

  [[nodiscard]] bool at_end() const { return position_ >= source_.size(); }
  [[nodiscard]] bool next_is(std::string_view text) const {
    return source_.substr(position_).starts_with(text);
  }
  char take() { return source_[position_++]; }
  std::string_view take_character() {
    const std::string_view bytes = source_.substr(position_, code_point_at(source_, position_).length);
    position_ += bytes.size();
    return bytes;
  }
  bool accept(std::string_view text) {
    if (!next_is(text)) return false;
    position_ += text.size();
    return true;
  }
  template <class Predicate>
  std::string_view take_while(Predicate predicate, std::size_t most) {
    const std::size_t start = position_;
    while (!at_end() && position_ - start < most && predicate(source_[position_])) ++position_;
    return source_.substr(start, position_ - start);
  }
  [[nodiscard]] Error unsupported(std::string_view what) const {
    return fail("the regular expression '{}' is not supported: {} (at byte {})", source_, what, position_);
  }
  void atom(std::string_view text) {
    atom_ = out_.size();
    out_ += text;
  }

  Status element();
  Status open_group();
  Status group_flags();
  void close_group();
  void interval();
  Status escape();
  Result<std::string> code_escape(char letter);
  std::optional<std::string> simple_escape(char letter);
  Result<CharacterSet> property(bool negated);
  Result<std::string> character_class(int depth);
  Status class_item(Union& set, int depth);
  Status class_escape(Union& set);

  std::string_view source_;
  std::size_t position_ = 0;
  std::string out_;
  std::size_t atom_ = 0;             // where in out_ the latest repeatable element begins
  std::vector<std::size_t> groups_;  // where in out_ the open groups begin
};

Status Translator::element() {
  switch (source_[position_]) {
    case '\\':
      return escape();
    case '[': {
      ++position_;
      STERNA_TRY(const std::string set, character_class(0));
      atom(set);
      return {};
    }
    case '(':
      return open_group();
    case ')':
      close_group();
      return {};
    case '{':
      interval();
      return {};
    case '*':
    case '+':
    case '?':
    case '|':
      out_ += take();
      return {};
    default:
      atom(take_character());
      return {};
  }
}

Status Translator::open_group() {
  ++position_;
  if (accept("?#")) {
    while (!at_end() && take() != ')') {
    }
    return {};
  }
  if (next_is("*")) return unsupported("verbs and callouts '(*'");
  groups_.push_back(out_.size());
  if (!accept("?")) {
    out_ += '(';
    return {};
  }
  for (const std::string_view kind : {"<=", "<!", "=", "!", ">", ":"}) {
    if (!accept(kind)) continue;
    out_ += "(?";
    out_ += kind;
    return {};
  }
  if (accept("<") || accept("'")) {
    out_ += "(?<";
    out_ += take_while([](char c) { return is_letter(c) || is_digit(c) || c == '_'; }, 32);
    if (!accept(">") && !accept("'")) return unsupported("a group name");
    out_ += '>';
    return {};
  }
  return group_flags();
}

Status Translator::group_flags() {
  out_ += "(?";
  while (!at_end()) {
    const char c = take();
    if (c == ':') {
      out_ += c;
      return {};
    }
    if (c == ')') {
      groups_.pop_back();
      out_ += c;
      return {};
    }
    if (c != 'i' && c != 'm' && c != '-') break;
    out_ += c == 'm' ? 's' : c;
  }
  return unsupported("a group that begins with '(?' and neither looks around nor sets the flags i and m");
}

void Translator::close_group() {
  ++position_;
  if (!groups_.empty()) {
    atom_ = groups_.back();
    groups_.pop_back();
  }
  out_ += ')';
}

void Translator::interval() {
  const std::size_t start = position_++;
  const std::string_view low = take_while(is_digit, 6);
  const bool comma = accept(",");
  const std::string_view high = comma ? take_while(is_digit, 6) : std::string_view{};
  if (!accept("}") || (low.empty() && high.empty())) {
    position_ = start + 1;
    atom("\\{");
    return;
  }
  std::string repeat = "{";
  repeat += low.empty() ? "0" : low;
  if (comma) repeat += ",";
  repeat += high;
  repeat += "}";
  const bool again = next_is("+") || (!comma && next_is("?"));
  if (again) {
    out_.insert(atom_, "(?:");
    repeat += ")";
  }
  out_ += repeat;
}

// Escapes that stand for one character by its number; `letter` was read.
Result<std::string> Translator::code_escape(char letter) {
  std::string out = "\\x{";
  if (letter == 'u') {
    const auto digits = take_while(is_hex, 4);
    if (digits.size() != 4) return unsupported("\\u without four hexadecimal digits");
    out += digits;
  } else if (accept("{")) {
    const auto digits = take_while(is_hex, 8);
    if (digits.empty() || !accept("}")) return unsupported("\\x{...}");
    out += digits;
  } else {
    const auto digits = take_while(is_hex, 2);
    out += digits.empty() ? "0" : digits;
  }
  return out + "}";
}

// Escapes that mean the same inside and outside of a class; `letter` was read.
std::optional<std::string> Translator::simple_escape(char letter) {
  if (letter == 'v') return "\\x0b";
  if (std::string_view("tnrfea").find(letter) != std::string_view::npos) return std::string("\\") + letter;
  if (letter == '0') return "\\0" + std::string(take_while([](char c) { return c >= '0' && c <= '7'; }, 2));
  if (is_letter(letter))
    return std::string(1, letter);  // no meaning: the letter itself, also where PCRE2 has one
  if (!is_digit(letter)) return std::string("\\") + letter;
  return std::nullopt;
}

Result<CharacterSet> Translator::property(bool negated) {
  if (!accept("{")) return unsupported("\\p without {}");
  if (accept("^")) negated = !negated;
  const auto name = take_while([](char c) { return c != '}'; }, 64);
  if (!accept("}")) return unsupported("\\p without }");
  CharacterSet set = property_set(name);
  set.negated = set.negated != negated;
  return set;
}

Status Translator::escape() {
  ++position_;
  if (at_end()) return unsupported("it ends in a backslash");
  if ((static_cast<unsigned char>(source_[position_]) & 0x80U) != 0) {
    atom(take_character());
    return {};
  }
  const char c = take();
  if (const auto set = shorthand_set(c, false)) {
    atom(set->expression());
    return {};
  }
  if (c == 'p' || c == 'P') {
    STERNA_TRY(const CharacterSet set, property(c == 'P'));
    atom(set.expression());
    return {};
  }
  if (c == 'x' || c == 'u') {
    STERNA_TRY(const std::string code, code_escape(c));
    atom(code);
    return {};
  }
  if (c == 'b' || c == 'B') {
    atom(word_border(c == 'b'));
    return {};
  }
  if (c == 'O') {
    atom("(?s:.)");
    return {};
  }
  if (std::string_view("RKGAzZN123456789").find(c) != std::string_view::npos) {
    atom(std::string("\\") + c);
    return {};
  }
  if (std::string_view("kgyYcCMX").find(c) != std::string_view::npos)
    return unsupported(std::string("the escape \\") + c);
  atom(*simple_escape(c));
  return {};
}

Status Translator::class_escape(Union& set) {
  if (at_end()) return unsupported("it ends in a backslash");
  if ((static_cast<unsigned char>(source_[position_]) & 0x80U) != 0) {
    set.body += take_character();
    return {};
  }
  const char c = take();
  if (const auto shorthand = shorthand_set(c, true)) {
    set.add(*shorthand);
  } else if (c == 'p' || c == 'P') {
    STERNA_TRY(const CharacterSet named, property(c == 'P'));
    set.add(named);
  } else if (c == 'x' || c == 'u') {
    STERNA_TRY(const std::string code, code_escape(c));
    set.body += code;
  } else if (c == 'b') {
    set.body += "\\x08";
  } else if (const auto simple = simple_escape(c)) {
    set.body += *simple;
  } else {
    return unsupported("an octal escape in a class");
  }
  return {};
}

Status Translator::class_item(Union& set, int depth) {
  if (accept("\\")) return class_escape(set);
  if (accept("[:")) {
    const bool negated = accept("^");
    const auto name = take_while(is_letter, 16);
    if (!accept(":]")) return unsupported("a class in a class that begins with ':'");
    CharacterSet named = posix_set(name);
    named.negated = named.negated != negated;
    set.add(named);
    return {};
  }
  if (accept("[")) {
    STERNA_TRY(std::string nested, character_class(depth + 1));
    set.alternatives.push_back(std::move(nested));
    return {};
  }
  if (next_is("^")) set.body += '\\';
  set.body += take_character();
  return {};
}

// An expression that matches exactly one character; '[' was read.
Result<std::string> Translator::character_class(int depth) {
  if (depth > kDeepestClass) return unsupported("classes nested too deeply");
  const bool negated = accept("^");
  std::string others;  // the operands of && but the last, as look-aheads
  Union set;
  if (accept("]")) set.body += "\\]";
  while (!accept("]")) {
    if (at_end()) return unsupported("a class without ]");
    if (accept("&&")) {
      others += "(?=" + set.expression() + ")";
      set = {};
      continue;
    }
    STERNA_CHECK(class_item(set, depth));
  }
  if (others.empty() && set.alternatives.empty()) return (negated ? "[^" : "[") + set.body + "]";
  const std::string expression = others + set.expression();
  return negated ? "(?:(?!" + expression + ")(?s:.))" : "(?:" + expression + ")";
}

}  // namespace

Result<std::string> translate_oniguruma(std::string_view pattern) {
  if (!is_valid_utf8(pattern)) return fail("a regular expression is not valid UTF-8");
  return Translator(pattern).run();
}

}  // namespace sterna::runtime::tokenization
