// The merge rules of a BPE model: (left id, right id) -> (rank, id of the merged token).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "runtime/tokenizer/token_id.h"

namespace sterna::runtime::tokenization {

struct MergeRule {
  std::uint32_t rank = 0;
  TokenId merged = -1;  // -1: no such rule
};

// Open addressing with 16-byte slots at most 3/4 full: 280,000 rules take 8 MiB, and most look-ups touch one
// cache line. A rule given twice keeps the later rank, as in Hugging Face tokenizers.
class MergeTable {
 public:
  explicit MergeTable(std::size_t rules = 0);

  void insert(TokenId left, TokenId right, MergeRule rule);
  [[nodiscard]] MergeRule find(TokenId left, TokenId right) const {
    return slots_[slot_of(key(left, right))].rule;
  }

 private:
  struct Slot {
    std::uint64_t key = 0;
    MergeRule rule;
  };
  static std::uint64_t key(TokenId left, TokenId right) {
    return (static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32U) |
           static_cast<std::uint32_t>(right);
  }
  [[nodiscard]] std::size_t slot_of(std::uint64_t key) const;

  std::vector<Slot> slots_;  // a power of two
};

}  // namespace sterna::runtime::tokenization
