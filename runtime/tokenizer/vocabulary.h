// Tokens by id and ids by token.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/result.h"
#include "runtime/tokenizer/token_id.h"

namespace sterna::runtime::tokenization {

// Ids above this are a broken file, not a vocabulary (the largest known ones have about 2^18 tokens).
inline constexpr std::size_t kIdLimit = std::size_t{1} << 24U;

// Tokens as a file lists them: slices of one buffer, in any order.
struct TokenList {
  struct Entry {
    std::uint32_t offset = 0, length = 0;  // bytes in `text`
    TokenId id = 0;                        // in [0, kIdLimit)
  };
  std::string text;  // at most 4 GiB
  std::vector<Entry> entries;

  void add(std::string_view token, TokenId id);
  [[nodiscard]] std::string_view token(const Entry& entry) const {
    return std::string_view(text).substr(entry.offset, entry.length);
  }
};

class Vocabulary {
 public:
  // Errors: an id or a token that appears twice, ids so sparse that a table by id would be mostly holes.
  static Result<Vocabulary> create(TokenList list, std::string_view where);

  [[nodiscard]] TokenId find(std::string_view token) const;  // -1: not a token
  // Empty where no token has the id.
  [[nodiscard]] std::string_view token(TokenId id) const {
    const Slice slice = in_range(id) ? by_id_[static_cast<std::size_t>(id)] : Slice{};
    return std::string_view(text_).substr(slice.offset, slice.length);
  }
  [[nodiscard]] bool contains(TokenId id) const {
    return in_range(id) && by_id_[static_cast<std::size_t>(id)].used;
  }
  [[nodiscard]] std::size_t id_limit() const { return by_id_.size(); }  // highest id + 1
  [[nodiscard]] std::size_t size() const { return count_; }             // number of tokens

 private:
  struct Slice {
    std::uint32_t offset = 0;
    std::uint32_t length : 31 = 0;
    std::uint32_t used : 1 = 0;
  };
  struct Slot {  // open addressing: the id and the hash's upper half, which spares most string comparisons
    std::uint32_t hash = 0;
    TokenId id = -1;
  };

  [[nodiscard]] bool in_range(TokenId id) const {
    return id >= 0 && static_cast<std::size_t>(id) < by_id_.size();
  }
  [[nodiscard]] std::size_t slot_of(std::string_view token, std::uint32_t hash) const;
  Status place(const TokenList::Entry& entry, std::string_view where);

  std::string text_;
  std::vector<Slice> by_id_;
  std::vector<Slot> slots_;  // a power of two
  std::size_t count_ = 0;
};

}  // namespace sterna::runtime::tokenization
