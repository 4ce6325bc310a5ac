#include "runtime/tokenizer/added_tokens.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "runtime/tokenizer/unicode.h"
#include "runtime/tokenizer/vocabulary.h"

namespace sterna::runtime::tokenization {

namespace {

// Every position of a text is compared with the tokens up to the longest one's length.
constexpr std::size_t kLongestToken = 1024;

Result<AddedToken> parse_token(const Field& field) {
  STERNA_CHECK(field.require_object());
  AddedToken token;
  STERNA_TRY(const std::int64_t id, field["id"].integer(0, static_cast<std::int64_t>(kIdLimit) - 1));
  token.id = static_cast<TokenId>(id);
  STERNA_TRY(token.content, field["content"].string());
  STERNA_TRY(token.special, field["special"].boolean_or(false));
  STERNA_TRY(token.single_word, field["single_word"].boolean_or(false));
  STERNA_TRY(token.lstrip, field["lstrip"].boolean_or(false));
  STERNA_TRY(token.rstrip, field["rstrip"].boolean_or(false));
  STERNA_TRY(token.normalized, field["normalized"].boolean_or(!token.special));
  if (token.content.size() > kLongestToken) {
    return field.error(
        fmt::format("the token has {} bytes, at most {} are supported", token.content.size(), kLongestToken));
  }
  return token;
}

// Whether the text in [begin, end) has no word character right before or behind it.
bool stands_alone(std::string_view text, std::size_t begin, std::size_t end) {
  return (begin == 0 || !is_word(code_point_before(text, begin).value)) &&
         (end == text.size() || !is_word(code_point_at(text, end).value));
}

// The longest token at a position, special ones only as far as the trusted part around it reaches.
TokenTrie::Match longest_match(const TokenTrie& trie, std::string_view text, std::size_t at,
                               std::span<const Span> trusted) {
  if (trusted.empty() || at < trusted.front().begin) return trie.longest_at(text, at, false);
  const TokenTrie::Match inside = trie.longest_at(text.substr(0, trusted.front().end), at, true);
  if (trusted.front().end == text.size()) return inside;
  const TokenTrie::Match plain = trie.longest_at(text, at, false);
  return plain.length > inside.length ? plain : inside;
}

}  // namespace

std::uint32_t TokenTrie::child(std::uint32_t node, std::uint8_t byte) const {
  const auto& children = nodes_[node].children;
  const auto found = std::lower_bound(children.begin(), children.end(), std::pair{byte, std::uint32_t{0}});
  return found != children.end() && found->first == byte ? found->second : 0;
}

void TokenTrie::insert(std::string_view text, std::int32_t token, bool special) {
  if (text.empty()) return;
  if (nodes_.empty()) {
    nodes_.emplace_back();
    roots_.assign(256, 0);
  }
  std::uint32_t node = 0;
  for (const char c : text) {
    const auto byte = static_cast<std::uint8_t>(c);
    std::uint32_t next = child(node, byte);
    if (next == 0) {
      next = static_cast<std::uint32_t>(nodes_.size());
      auto& children = nodes_[node].children;
      const std::pair entry{byte, next};
      children.insert(std::lower_bound(children.begin(), children.end(), entry), entry);
      if (node == 0) roots_[byte] = next;
      nodes_.emplace_back();
    }
    node = next;
  }
  Node& end = nodes_[node];
  if (end.any < 0) end.any = token;
  if (end.plain < 0 && !special) end.plain = token;
}

TokenTrie::Match TokenTrie::longest_at(std::string_view text, std::size_t position, bool with_special) const {
  Match match;
  std::uint32_t node = roots_[static_cast<std::uint8_t>(text[position])];
  for (std::size_t i = position + 1; node != 0; ++i) {
    const std::int32_t token = with_special ? nodes_[node].any : nodes_[node].plain;
    if (token >= 0) match = {token, i - position};
    node = i < text.size() ? child(node, static_cast<std::uint8_t>(text[i])) : 0;
  }
  return match;
}

Status AddedTokens::add(AddedToken token, const Field& field) {
  if (token.content.empty()) return {};  // can match nothing; Hugging Face ignores it, too
  const std::size_t index = tokens_.size();
  const auto [by_content, new_content] = by_content_.try_emplace(token.content, index);
  const auto [by_id, new_id] = by_id_.try_emplace(token.id, index);
  if (new_content && new_id) {
    tokens_.push_back(std::move(token));
    return {};
  }
  const AddedToken& other = tokens_[new_content ? by_id->second : by_content->second];
  if (other.id == token.id && other.content == token.content) {
    tokens_[by_id->second] = std::move(token);  // repeated: the later flags count
    return {};
  }
  return field.error(fmt::format("'{}' with the id {} contradicts '{}' with the id {}", token.content,
                                 token.id, other.content, other.id));
}

Result<AddedTokens> AddedTokens::parse(const Field& field) {
  AddedTokens added;
  if (field.is_null()) return added;
  STERNA_CHECK(field.require_array());
  for (std::size_t i = 0; i < field.array_size(); ++i) {
    STERNA_TRY(AddedToken token, parse_token(field[i]));
    STERNA_CHECK(added.add(std::move(token), field[i]));
  }
  return added;
}

void AddedTokens::build(std::vector<std::string> normalized_contents) {
  for (std::size_t i = 0; i < tokens_.size(); ++i) {
    AddedToken& token = tokens_[i];
    token.decoder_input = token.normalized ? std::move(normalized_contents[i]) : token.content;
  }
  // Special tokens first: that order decides between tokens whose normalized forms are equal.
  for (const bool special : {true, false}) {
    for (std::size_t i = 0; i < tokens_.size(); ++i) {
      if (tokens_[i].special != special) continue;
      const auto token = static_cast<std::int32_t>(i);
      if (tokens_[i].normalized) {
        normalized_.insert(tokens_[i].decoder_input, token, special);
      } else {
        raw_.insert(tokens_[i].content, token, special);
      }
    }
  }
}

// The section of a match, with the white space that the token takes along but not before `least`.
AddedTokens::Section AddedTokens::extend(std::string_view text, TokenTrie::Match match, std::size_t begin,
                                         std::size_t least) const {
  const AddedToken& token = tokens_[static_cast<std::size_t>(match.token)];
  std::size_t end = begin + match.length;
  if (token.lstrip) {
    while (begin > least && is_white_space(code_point_before(text, begin).value)) {
      begin -= code_point_before(text, begin).length;
    }
    begin = std::max(begin, least);
  }
  // A match inside the white space that the token before took along need not look at all of that again.
  if (token.rstrip) end = std::max(end, least);
  while (token.rstrip && end < text.size() && is_white_space(code_point_at(text, end).value)) {
    end += code_point_at(text, end).length;
  }
  return {{begin, end}, match.token};
}

std::vector<AddedTokens::Section> AddedTokens::split(std::string_view text, bool normalized,
                                                     std::span<const Span> trusted) const {
  std::vector<Section> sections;
  const TokenTrie& trie = normalized ? normalized_ : raw_;
  std::size_t from = 0;  // end of the latest section
  for (std::size_t i = 0; !trie.empty() && i < text.size();) {
    while (!trusted.empty() && trusted.front().end <= i) trusted = trusted.subspan(1);
    const TokenTrie::Match match = longest_match(trie, text, i, trusted);
    if (match.token < 0) {
      ++i;
      continue;
    }
    const std::size_t begin = i;
    i += match.length;
    if (tokens_[static_cast<std::size_t>(match.token)].single_word && !stands_alone(text, begin, i)) continue;
    const Section section = extend(text, match, begin, from);
    if (from < section.span.begin) sections.push_back({{from, section.span.begin}, -1});
    sections.push_back(section);
    from = section.span.end;
  }
  if (from != text.size()) sections.push_back({{from, text.size()}, -1});
  return sections;
}

const AddedToken* AddedTokens::find(std::string_view content) const {
  const auto found = by_content_.find(std::string(content));
  return found == by_content_.end() ? nullptr : &tokens_[found->second];
}

const AddedToken* AddedTokens::find(TokenId id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : &tokens_[found->second];
}

}  // namespace sterna::runtime::tokenization
