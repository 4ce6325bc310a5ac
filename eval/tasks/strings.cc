#include "eval/tasks/strings.h"

#include <utf8proc.h>

#include <algorithm>

#include "runtime/tokenizer/unicode.h"

namespace sterna::eval {
namespace {

using runtime::tokenization::append_utf8;
using runtime::tokenization::code_point_at;
using runtime::tokenization::code_point_before;

// Python's isspace: White_Space and the four separators of ASCII.
bool is_space(char32_t c) { return runtime::tokenization::is_white_space(c) || (c >= 0x1C && c <= 0x1F); }

std::string without_brackets(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '[') {
      const std::size_t end = text.find_first_of("]\n", i);
      if (end != std::string_view::npos && text[end] == ']') {
        i = end;
        continue;
      }
    }
    out += text[i];
  }
  return out;
}

}  // namespace

std::string_view stripped_right(std::string_view text) {
  while (!text.empty()) {
    const auto last = code_point_before(text, text.size());
    if (!is_space(last.value)) break;
    text.remove_suffix(last.length);
  }
  return text;
}

std::string_view stripped(std::string_view text) {
  while (!text.empty()) {
    const auto first = code_point_at(text, 0);
    if (!is_space(first.value)) break;
    text.remove_prefix(first.length);
  }
  return stripped_right(text);
}

std::string capitalized(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    const auto c = code_point_at(text, i);
    const auto value = static_cast<utf8proc_int32_t>(c.value);
    append_utf8(out, static_cast<char32_t>(i == 0 ? utf8proc_totitle(value) : utf8proc_tolower(value)));
    i += c.length;
  }
  return out;
}

std::string replaced(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  out.reserve(text.size());
  for (;;) {
    const std::size_t at = text.find(from);
    out += text.substr(0, at);
    if (at == std::string_view::npos) return out;
    out += to;
    text.remove_prefix(at + from.size());
  }
}

std::string without_page_marks(std::string_view text) {
  return replaced(without_brackets(replaced(stripped(text), " [title]", ". ")), "  ", " ");
}

std::size_t character_count(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

}  // namespace sterna::eval
