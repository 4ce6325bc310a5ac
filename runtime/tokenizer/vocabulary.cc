#include "runtime/tokenizer/vocabulary.h"

#include <algorithm>
#include <bit>
#include <functional>

namespace sterna::runtime::tokenization {

namespace {

std::size_t hash_of(std::string_view token) { return std::hash<std::string_view>{}(token); }

std::uint32_t upper_half(std::size_t hash) { return static_cast<std::uint32_t>(std::uint64_t{hash} >> 32U); }

}  // namespace

void TokenList::add(std::string_view token, TokenId id) {
  entries.push_back({static_cast<std::uint32_t>(text.size()), static_cast<std::uint32_t>(token.size()), id});
  text += token;
}

Result<Vocabulary> Vocabulary::create(TokenList list, std::string_view where) {
  Vocabulary vocabulary;
  std::size_t limit = 0;
  for (const auto& entry : list.entries) limit = std::max(limit, static_cast<std::size_t>(entry.id) + 1);
  if (limit > 4 * list.entries.size() + 65536) {
    return fail("{}: the vocabulary has {} tokens but ids up to {}; check the ids of model.vocab", where,
                list.entries.size(), limit - 1);
  }
  vocabulary.text_ = std::move(list.text);
  vocabulary.by_id_.resize(limit);
  vocabulary.slots_.resize(std::bit_ceil(2 * list.entries.size() + 2));
  for (const auto& entry : list.entries) STERNA_CHECK(vocabulary.place(entry, where));
  return vocabulary;
}

Status Vocabulary::place(const TokenList::Entry& entry, std::string_view where) {
  const std::string_view text = std::string_view(text_).substr(entry.offset, entry.length);
  Slice& slice = by_id_[static_cast<std::size_t>(entry.id)];
  if (slice.used != 0) {
    return fail("{}: two tokens have the id {}: '{}' and '{}'", where, entry.id, token(entry.id), text);
  }
  const std::size_t hash = hash_of(text);
  Slot& slot = slots_[slot_of(text, upper_half(hash))];
  if (slot.id >= 0) return fail("{}: the token '{}' has two ids: {} and {}", where, text, slot.id, entry.id);
  slice.offset = entry.offset;
  slice.length = entry.length & 0x7FFFFFFFU;
  slice.used = 1;
  slot = {upper_half(hash), entry.id};
  ++count_;
  return {};
}

std::size_t Vocabulary::slot_of(std::string_view text, std::uint32_t hash) const {
  const std::size_t mask = slots_.size() - 1;
  std::size_t i = hash & mask;
  while (slots_[i].id >= 0 && (slots_[i].hash != hash || token(slots_[i].id) != text)) i = (i + 1) & mask;
  return i;
}

TokenId Vocabulary::find(std::string_view text) const {
  return slots_.empty() ? -1 : slots_[slot_of(text, upper_half(hash_of(text)))].id;
}

}  // namespace sterna::runtime::tokenization
