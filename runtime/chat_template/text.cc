#include "runtime/chat_template/text.h"

#include <algorithm>
#include <limits>

#include "runtime/chat_template/unicode.h"

namespace sterna::runtime::jinja {

void Text::append(std::string_view bytes, bool untrusted) {
  if (bytes.empty()) return;
  const std::size_t begin = bytes_.size();
  bytes_.append(bytes);
  if (!untrusted) return;
  if (!untrusted_.empty() && untrusted_.back().end == begin) {
    untrusted_.back().end = bytes_.size();
  } else {
    untrusted_.push_back({begin, bytes_.size()});
  }
}

void Text::append_slice(const Text& other, std::size_t begin, std::size_t end) {
  const std::string_view bytes = other.view();
  auto range = std::partition_point(other.untrusted_.begin(), other.untrusted_.end(),
                                    [&](const ByteRange& r) { return r.end <= begin; });
  while (begin < end) {
    if (range == other.untrusted_.end() || range->begin >= end)
      return append(bytes.substr(begin, end - begin), false);
    append(bytes.substr(begin, std::max(begin, range->begin) - begin), false);
    begin = std::max(begin, range->begin);
    const std::size_t stop = std::min(end, range->end);
    append(bytes.substr(begin, stop - begin), true);
    begin = stop;
    ++range;
  }
}

Text Text::slice(std::size_t begin, std::size_t end) const {
  Text result;
  result.append_slice(*this, begin, end);
  return result;
}

Text strip(const Text& text, const Text* characters, Side side) {
  const std::string_view bytes = text.view();
  std::vector<char32_t> set;
  if (characters != nullptr) {
    for (std::size_t at = 0; at < characters->size();) set.push_back(decode(characters->view(), at));
    std::sort(set.begin(), set.end());
  }
  const auto stripped = [&](std::size_t at) {
    const char32_t c = decode(bytes, at);
    return characters == nullptr ? is_space(c) : std::binary_search(set.begin(), set.end(), c);
  };
  std::size_t begin = 0;
  std::size_t end = bytes.size();
  if (side != Side::right) {
    while (begin < end && stripped(begin)) decode(bytes, begin);
  }
  if (side != Side::left) {
    while (end > begin && stripped(previous_code_point(bytes, end))) end = previous_code_point(bytes, end);
  }
  return text.slice(begin, end);
}

namespace {

// First position at or behind `position` whose white-spaceness is not `space`.
std::size_t skip_forward(std::string_view bytes, std::size_t position, bool space) {
  for (std::size_t at = position; position < bytes.size() && is_space(decode(bytes, at)) == space;)
    position = at;
  return position;
}

std::size_t skip_backward(std::string_view bytes, std::size_t position, bool space) {
  while (position > 0) {
    const std::size_t before = previous_code_point(bytes, position);
    std::size_t at = before;
    if (is_space(decode(bytes, at)) != space) break;
    position = before;
  }
  return position;
}

}  // namespace

std::vector<Text> split_white_space(const Text& text, long limit, bool from_right) {
  const std::string_view bytes = text.view();
  std::vector<Text> parts;
  const auto full = [&] { return limit >= 0 && static_cast<long>(parts.size()) >= limit; };
  if (from_right) {
    for (std::size_t end = skip_backward(bytes, bytes.size(), true); end > 0;) {
      const std::size_t begin = full() ? 0 : skip_backward(bytes, end, false);
      parts.push_back(text.slice(begin, end));
      end = skip_backward(bytes, begin, true);
    }
    std::reverse(parts.begin(), parts.end());
    return parts;
  }
  for (std::size_t begin = skip_forward(bytes, 0, true); begin < bytes.size();) {
    const std::size_t end = full() ? bytes.size() : skip_forward(bytes, begin, false);
    parts.push_back(text.slice(begin, end));
    begin = skip_forward(bytes, end, true);
  }
  return parts;
}

std::vector<Text> split(const Text& text, std::string_view separator, long limit, bool from_right) {
  const std::string_view bytes = text.view();
  const auto more = [&](std::size_t parts) { return limit < 0 || static_cast<long>(parts) < limit; };
  std::vector<Text> parts;
  if (from_right) {
    std::size_t end = bytes.size();
    while (more(parts.size()) && end >= separator.size()) {
      const std::size_t found = bytes.substr(0, end).rfind(separator);
      if (found == std::string_view::npos) break;
      parts.push_back(text.slice(found + separator.size(), end));
      end = found;
    }
    parts.push_back(text.slice(0, end));
    std::reverse(parts.begin(), parts.end());
    return parts;
  }
  std::size_t begin = 0;
  while (more(parts.size())) {
    const std::size_t found = bytes.find(separator, begin);
    if (found == std::string_view::npos) break;
    parts.push_back(text.slice(begin, found));
    begin = found + separator.size();
  }
  parts.push_back(text.slice(begin, bytes.size()));
  return parts;
}

std::vector<Text> split_lines(const Text& text, bool keep_ends) {
  const std::string_view bytes = text.view();
  std::vector<Text> lines;
  std::size_t begin = 0;
  std::size_t at = 0;
  while (at < bytes.size()) {
    const std::size_t end = at;
    const char32_t c = decode(bytes, at);
    if (!is_line_break(c)) continue;
    if (c == U'\r' && at < bytes.size() && bytes[at] == '\n') ++at;
    lines.push_back(text.slice(begin, keep_ends ? at : end));
    begin = at;
  }
  if (begin < bytes.size()) lines.push_back(text.slice(begin, bytes.size()));
  return lines;
}

namespace {

// Places where `from` is replaced: its occurrences, or every gap between code points for an empty string.
std::vector<std::size_t> matches(std::string_view bytes, std::string_view from, long count) {
  const std::size_t limit =
      count < 0 ? std::numeric_limits<std::size_t>::max() : static_cast<std::size_t>(count);
  std::vector<std::size_t> places;
  if (from.empty()) {
    places = code_point_offsets(bytes);
    if (places.size() > limit) places.resize(limit);
    return places;
  }
  for (std::size_t at = 0; places.size() < limit; at += from.size()) {
    at = bytes.find(from, at);
    if (at == std::string_view::npos) break;
    places.push_back(at);
  }
  return places;
}

}  // namespace

Result<Text> replace(Budget& budget, const Text& text, const Text& from, const Text& to, long count) {
  STERNA_CHECK(budget.spend_search(text.size(), from.size()));
  const std::vector<std::size_t> places = matches(text.view(), from.view(), count);
  STERNA_CHECK(budget.spend_bytes(text.cost() + places.size() * to.cost()));
  Text result;
  std::size_t done = 0;
  for (const std::size_t place : places) {
    result.append_slice(text, done, place);
    result.append(to);
    done = place + from.size();
  }
  result.append_slice(text, done, text.size());
  return result;
}

Result<Text> join(Budget& budget, const Text& separator, const std::vector<Text>& parts) {
  std::size_t bytes = parts.size() * separator.cost();
  for (const Text& part : parts) bytes += part.cost();
  STERNA_CHECK(budget.spend_bytes(bytes));
  Text result;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) result.append(separator);
    result.append(parts[i]);
  }
  return result;
}

Result<Text> repeat(Budget& budget, const Text& text, long count) {
  Text result;
  if (count <= 0 || text.empty()) return result;
  const auto times = static_cast<std::size_t>(count);
  if (times > std::numeric_limits<std::size_t>::max() / text.cost())
    return fail("a string repeated {} times is too long", count);
  STERNA_CHECK(budget.spend_bytes(text.cost() * times));
  for (std::size_t i = 0; i < times; ++i) result.append(text);
  return result;
}

Result<Text> pad(Budget& budget, const Text& text, std::size_t left, std::size_t right, const Text& fill) {
  constexpr std::size_t kMost = std::numeric_limits<std::size_t>::max() / 16;
  if (left > kMost || right > kMost)
    return fail("a field of {} characters is too wide", std::max(left, right));
  STERNA_CHECK(budget.spend_bytes(text.cost() + (left + right) * fill.cost()));
  Text result;
  for (std::size_t i = 0; i < left; ++i) result.append(fill);
  result.append(text);
  for (std::size_t i = 0; i < right; ++i) result.append(fill);
  return result;
}

namespace {

// Calls change(out, code point, byte position) for every code point; what it appends keeps the trust of its
// source.
template <class Change>
Text map_code_points(const Text& text, const Change& change) {
  const std::string_view bytes = text.view();
  TrustCursor trust(text);
  Text result;
  std::string piece;
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t start = at;
    const char32_t c = decode(bytes, at);
    piece.clear();
    change(piece, c, start);
    result.append(piece, trust.untrusted_at(start));
  }
  return result;
}

void append_lower_in(std::string& out, std::string_view bytes, char32_t c, std::size_t position) {
  constexpr char32_t kCapitalSigma = 0x3A3;
  constexpr char32_t kFinalSigma = 0x3C2;
  if (c == kCapitalSigma && is_final_sigma(bytes, position)) return append_utf8(out, kFinalSigma);
  append_lower(out, c);
}

}  // namespace

Text change_case(const Text& text, CaseChange change) {
  const std::string_view bytes = text.view();
  bool cased_before = false;
  return map_code_points(text, [&](std::string& out, char32_t c, std::size_t position) {
    const bool first = change == CaseChange::title ? !cased_before : position == 0;
    cased_before = is_cased(c);
    switch (change) {
      case CaseChange::upper:
        return append_upper(out, c);
      case CaseChange::lower:
        return append_lower_in(out, bytes, c, position);
      case CaseChange::swap:
        if (is_upper(c)) return append_lower_in(out, bytes, c, position);
        return is_lower(c) ? append_upper(out, c) : append_utf8(out, c);
      case CaseChange::capitalize:
      case CaseChange::title:
        break;
    }
    return first ? append_title(out, c) : append_lower_in(out, bytes, c, position);
  });
}

Text title_words(const Text& text) {
  constexpr std::u32string_view kOpeners = U"-({[<";
  const std::string_view bytes = text.view();
  bool first = true;
  std::size_t word = 0;
  return map_code_points(text, [&](std::string& out, char32_t c, std::size_t position) {
    if (is_space(c) || kOpeners.find(c) != std::u32string_view::npos) {
      first = true;
      return append_utf8(out, c);
    }
    if (first) {
      first = false;
      word = position;
      decode(bytes, word);  // the rest of the word is lowered on its own, without its first letter
      return append_upper(out, c);
    }
    return append_lower_in(out, bytes.substr(word), c, position - word);
  });
}

Text reversed(const Text& text) {
  const std::vector<std::size_t> offsets = code_point_offsets(text.view());
  Text result;
  for (std::size_t i = offsets.size() - 1; i > 0; --i) result.append_slice(text, offsets[i - 1], offsets[i]);
  return result;
}

Text escape_html(const Text& text) {
  return map_code_points(text, [](std::string& out, char32_t c, std::size_t) {
    switch (c) {
      case U'&':
        out += "&amp;";
        break;
      case U'<':
        out += "&lt;";
        break;
      case U'>':
        out += "&gt;";
        break;
      case U'\'':
        out += "&#39;";
        break;
      case U'"':
        out += "&#34;";
        break;
      default:
        append_utf8(out, c);
    }
  });
}

std::vector<std::size_t> code_point_offsets(std::string_view text) {
  std::vector<std::size_t> offsets;
  for (std::size_t at = 0; at < text.size();) {
    offsets.push_back(at);
    decode(text, at);
  }
  offsets.push_back(text.size());
  return offsets;
}

}  // namespace sterna::runtime::jinja
