// The added tokens of a tokenizer.json: texts that are one token each, found before the model sees the text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "runtime/result.h"
#include "runtime/tokenizer/json_fields.h"
#include "runtime/tokenizer/regex.h"
#include "runtime/tokenizer/token_id.h"

namespace sterna::runtime::tokenization {

struct AddedToken {
  TokenId id = 0;
  std::string content;
  bool special = false;      // not matched unless asked for; skipped by decoding if asked for
  bool single_word = false;  // only between characters that are no word characters
  bool lstrip = false;       // takes the white space on its left along
  bool rstrip = false;       // ... on its right
  bool normalized =
      false;  // matches its normalized form in normalized text, instead of as it is in the input
  std::string
      decoder_input;  // what decoding starts from: the normalized form if `normalized`, else the content
};

// Finds the longest of several texts at every position, in time proportional to length times the longest of
// them.
class TokenTrie {
 public:
  struct Match {
    std::int32_t token = -1;  // index, -1: none
    std::size_t length = 0;
  };

  // Of two equal texts the first one counts, separately for special tokens and others.
  void insert(std::string_view text, std::int32_t token, bool special);
  [[nodiscard]] Match longest_at(std::string_view text, std::size_t position, bool with_special) const;
  [[nodiscard]] bool empty() const { return nodes_.empty(); }

 private:
  struct Node {
    std::vector<std::pair<std::uint8_t, std::uint32_t>> children;  // by byte, ascending
    std::int32_t any = -1, plain = -1;  // the token that ends here; plain: not special
  };
  [[nodiscard]] std::uint32_t child(std::uint32_t node, std::uint8_t byte) const;  // 0: none

  std::vector<Node> nodes_;  // [0] is the root
  std::vector<std::uint32_t> roots_;
};

class AddedTokens {
 public:
  // A part of a text: an added token (token >= 0, an index) or text in between.
  struct Section {
    Span span;
    std::int32_t token = -1;
  };

  // The field "added_tokens"; null is an empty list.
  // Errors: missing id or content, ids out of range, a content with two ids or an id with two contents.
  static Result<AddedTokens> parse(const Field& field);

  // Must be called once, with the normalized form of each content.
  void build(std::vector<std::string> normalized_contents);

  // Cuts a text at the tokens: those that match raw text, or those that match normalized text. Special tokens
  // are found only inside one of `trusted`: ascending, disjoint parts of the text.
  [[nodiscard]] std::vector<Section> split(std::string_view text, bool normalized,
                                           std::span<const Span> trusted) const;

  [[nodiscard]] const std::vector<AddedToken>& list() const { return tokens_; }
  [[nodiscard]] const AddedToken* find(std::string_view content) const;
  [[nodiscard]] const AddedToken* find(TokenId id) const;
  [[nodiscard]] bool has_normalized() const { return !normalized_.empty(); }

 private:
  Status add(AddedToken token, const Field& field);
  [[nodiscard]] Section extend(std::string_view text, TokenTrie::Match match, std::size_t begin,
                               std::size_t least) const;

  std::vector<AddedToken> tokens_;
  std::unordered_map<std::string, std::size_t> by_content_;
  std::unordered_map<TokenId, std::size_t> by_id_;
  TokenTrie raw_, normalized_;
};

}  // namespace sterna::runtime::tokenization
