// Byte pair encoding of one word: the model of a tokenizer.json with "type": "BPE".
//
// A word is cut into characters; as long as two neighbours have a merge rule, the rule of the lowest rank is
// applied, the leftmost place first. A linked list of symbols and a priority queue of candidate merges make
// that O(n log n): a word of n characters puts at most 3n entries into the queue. SentencePiece models have
// no pre-tokenizer, so that a "word" can be a whole book.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/result.h"
#include "runtime/tokenizer/merge_table.h"
#include "runtime/tokenizer/token_id.h"
#include "runtime/tokenizer/vocabulary.h"

namespace sterna::runtime::tokenization {

// Merges as a file lists them, in order of rank: left and right lie side by side, so that together they spell
// the merged token.
struct MergeList {
  struct Entry {
    std::uint32_t offset = 0, left = 0, right = 0;  // lengths in bytes
  };
  std::string text;  // at most 4 GiB
  std::vector<Entry> entries;

  void add(std::string_view left, std::string_view right);
  [[nodiscard]] std::string_view left(const Entry& e) const {
    return std::string_view(text).substr(e.offset, e.left);
  }
  [[nodiscard]] std::string_view right(const Entry& e) const {
    return std::string_view(text).substr(e.offset + e.left, e.right);
  }
  [[nodiscard]] std::string_view merged(const Entry& e) const {
    return std::string_view(text).substr(e.offset, e.left + e.right);
  }
};

struct BpeOptions {
  bool has_unknown = false;  // a character outside the vocabulary becomes unknown_token (else it is dropped)
  std::string unknown_token;
  bool fuse_unknown = false;   // a run of unknown characters becomes one unknown token
  bool byte_fallback = false;  // ... but first try its UTF-8 bytes as the tokens <0x00> .. <0xFF>
  bool ignore_merges = false;  // a word that is a token as a whole is taken as that
};

// What one encoding reuses from word to word; not shared between threads.
struct BpeScratch {
  struct Symbol {
    TokenId id = -1;  // -1: merged into its left neighbour
    std::int32_t previous = -1, next = -1;
  };
  struct Candidate {
    std::uint64_t order = 0;  // rank, then position: the smallest is merged first
    TokenId merged = -1;
  };
  std::vector<Symbol> symbols;
  std::vector<Candidate> queue;
  std::uint64_t queue_pops = 0;  // over all words; the tests bound the work with it
};

class Bpe {
 public:
  // Errors: a merge that names or makes a token which is not in the vocabulary.
  static Result<Bpe> create(Vocabulary vocabulary, const MergeList& merges, BpeOptions options,
                            std::string_view where);

  // Marks the tokens that words of user text must not turn into (see `allow_special` below).
  void set_special(const std::vector<TokenId>& ids);

  // Appends the ids of a word (valid UTF-8, less than 2^31 bytes). Without `allow_special`, neither a merge
  // nor ignore_merges yields a special token. Error: an unknown character where unknown_token itself has no
  // id.
  Status tokenize(std::string_view word, bool allow_special, BpeScratch& scratch,
                  std::vector<TokenId>& ids) const;

  [[nodiscard]] const Vocabulary& vocabulary() const { return vocabulary_; }

 private:
  [[nodiscard]] TokenId character_id(char32_t c, std::string_view bytes) const;
  [[nodiscard]] bool is_special(TokenId id) const {
    return static_cast<std::size_t>(id) < special_.size() && special_[static_cast<std::size_t>(id)];
  }
  bool append_bytes(std::string_view character, BpeScratch& scratch) const;
  Status append_unknown(bool& pending, BpeScratch& scratch) const;
  Status split(std::string_view word, BpeScratch& scratch) const;
  void propose(std::int32_t left, bool allow_special, BpeScratch& scratch) const;
  void merge(bool allow_special, BpeScratch& scratch) const;

  Vocabulary vocabulary_;
  BpeOptions options_;
  TokenId unknown_id_ = -1;
  std::array<TokenId, 0x180> small_{};  // ids of the characters below U+0180: all of byte-level's alphabet
  std::array<TokenId, 256> byte_ids_{};
  MergeTable merges_;
  std::vector<bool> special_;
};

}  // namespace sterna::runtime::tokenization
