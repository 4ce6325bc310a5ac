#include "runtime/tokenizer/pattern.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "runtime/tokenizer/limits.h"
#include "runtime/tokenizer/unicode.h"

namespace sterna::runtime::tokenization {

Result<Pattern> Pattern::parse(const Field& field) {
  STERNA_CHECK(field.require_object());
  const Field literal_field = field["String"];
  const Field regex_field = field["Regex"];
  if (literal_field.is_null() == regex_field.is_null()) {
    return field.error("either {\"String\": ...} or {\"Regex\": ...} is needed");
  }
  if (!literal_field.is_null()) {
    STERNA_TRY(std::string text, literal_field.string());
    return text.empty() ? Pattern::regex("", field.jit()) : literal(std::move(text));
  }
  STERNA_TRY(const std::string expression, regex_field.string());
  auto pattern = Pattern::regex(expression, field.jit());
  if (!pattern) return regex_field.error(pattern.error().message);
  return pattern;
}

Pattern Pattern::literal(std::string text) {
  Pattern pattern;
  pattern.literal_ = std::move(text);
  return pattern;
}

Result<Pattern> Pattern::regex(std::string_view expression, bool jit) {
  STERNA_TRY(Regex compiled, Regex::compile(expression, jit));
  Pattern pattern;
  pattern.regex_ = std::move(compiled);
  return pattern;
}

Status Pattern::find_all(std::string_view text, RegexScratch& scratch, std::vector<Span>& matches) const {
  if (regex_) return regex_->find_all(text, scratch, matches);
  for (std::size_t at = text.find(literal_); at != std::string_view::npos; at = text.find(literal_, at)) {
    matches.push_back({at, at + literal_.size()});
    at += literal_.size();
  }
  return {};
}

Result<std::string> Pattern::replace_all(std::string_view text, std::string_view content,
                                         RegexScratch& scratch, bool* removed_front) const {
  std::vector<Span> matches;
  STERNA_CHECK(find_all(text, scratch, matches));
  if (text.size() + matches.size() * content.size() > kLongestText) {
    return fail("a replacement would make a text of {} bytes longer than {} bytes", text.size(),
                kLongestText);
  }
  std::string out;
  out.reserve(text.size());
  std::size_t from = 0;
  for (const Span match : matches) {
    out += text.substr(from, match.begin - from);
    out += content;
    from = match.end;
  }
  out += text.substr(from);
  if (removed_front != nullptr && !matches.empty() && matches[0].begin == 0 && !matches[0].empty()) {
    *removed_front = content.empty() || code_point_at(text, 0).length < matches[0].end;
  }
  return out;
}

std::vector<Part> parts_of(std::string_view text, const std::vector<Span>& matches) {
  std::vector<Part> parts;
  parts.reserve(2 * matches.size() + 1);
  std::size_t from = 0;
  for (const Span match : matches) {
    if (from != match.begin) parts.push_back({{from, match.begin}, false});
    parts.push_back({match, true});
    from = match.end;
  }
  if (from != text.size()) parts.push_back({{from, text.size()}, false});
  return parts;
}

std::vector<Part> parts_by_character(std::string_view text, bool (*predicate)(char32_t)) {
  std::vector<Span> matches;
  for (std::size_t i = 0; i < text.size();) {
    const CodePoint c = code_point_at(text, i);
    if (predicate(c.value)) matches.push_back({i, i + c.length});
    i += c.length;
  }
  return parts_of(text, matches);
}

Result<SplitBehavior> parse_split_behavior(const Field& field) {
  constexpr std::array<std::pair<std::string_view, SplitBehavior>, 5> kNames = {{
      {"Removed", SplitBehavior::kRemoved},
      {"Isolated", SplitBehavior::kIsolated},
      {"MergedWithPrevious", SplitBehavior::kMergedWithPrevious},
      {"MergedWithNext", SplitBehavior::kMergedWithNext},
      {"Contiguous", SplitBehavior::kContiguous},
  }};
  STERNA_TRY(const std::string name, field.string());
  for (const auto& [known, behavior] : kNames) {
    if (name == known) return behavior;
  }
  return field.unsupported("split behavior", name,
                           "Removed, Isolated, MergedWithPrevious, MergedWithNext and Contiguous");
}

std::vector<Span> apply_behavior(const std::vector<Part>& parts, SplitBehavior behavior) {
  std::vector<Span> pieces;
  pieces.reserve(parts.size());
  bool previous = false;  // whether the part before was a match
  const auto merge_or_push = [&](Span span, bool merge) {
    if (!merge || pieces.empty()) {
      pieces.push_back(span);
    } else {
      pieces.back() = {std::min(pieces.back().begin, span.begin), std::max(pieces.back().end, span.end)};
    }
  };
  if (behavior == SplitBehavior::kMergedWithNext) {
    for (std::size_t i = parts.size(); i-- > 0;) {
      merge_or_push(parts[i].span, parts[i].is_match && !previous);
      previous = parts[i].is_match;
    }
    std::reverse(pieces.begin(), pieces.end());
    return pieces;
  }
  for (const Part& part : parts) {
    switch (behavior) {
      case SplitBehavior::kRemoved:
        if (!part.is_match) pieces.push_back(part.span);
        break;
      case SplitBehavior::kMergedWithPrevious:
        merge_or_push(part.span, part.is_match && !previous);
        break;
      case SplitBehavior::kContiguous:
        merge_or_push(part.span, part.is_match == previous);
        break;
      default:
        pieces.push_back(part.span);
        break;
    }
    previous = part.is_match;
  }
  return pieces;
}

}  // namespace sterna::runtime::tokenization
