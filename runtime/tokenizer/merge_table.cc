#include "runtime/tokenizer/merge_table.h"

#include <bit>

namespace sterna::runtime::tokenization {

MergeTable::MergeTable(std::size_t rules) : slots_(std::bit_ceil(rules + rules / 3 + 2)) {}

std::size_t MergeTable::slot_of(std::uint64_t key) const {
  // Multiplication by 2^64 / golden ratio spreads consecutive ids; the upper bits are the well-mixed ones.
  std::size_t i =
      static_cast<std::size_t>(((key ^ (key >> 29U)) * 0x9E3779B97F4A7C15U) >> 32U) & (slots_.size() - 1);
  while (slots_[i].rule.merged >= 0 && slots_[i].key != key) i = (i + 1) & (slots_.size() - 1);
  return i;
}

void MergeTable::insert(TokenId left, TokenId right, MergeRule rule) {
  slots_[slot_of(key(left, right))] = {key(left, right), rule};
}

}  // namespace sterna::runtime::tokenization
