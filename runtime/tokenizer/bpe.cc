#include "runtime/tokenizer/bpe.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <limits>

#include "runtime/tokenizer/unicode.h"

namespace sterna::runtime::tokenization {

namespace {

// For a heap whose front is the smallest.
bool comes_later(const BpeScratch::Candidate& a, const BpeScratch::Candidate& b) { return a.order > b.order; }

void append_symbol(TokenId id, std::vector<BpeScratch::Symbol>& symbols) {
  const auto position = static_cast<std::int32_t>(symbols.size());
  if (!symbols.empty()) symbols.back().next = position;
  symbols.push_back({id, position - 1, -1});
}

}  // namespace

void MergeList::add(std::string_view left, std::string_view right) {
  entries.push_back({static_cast<std::uint32_t>(text.size()), static_cast<std::uint32_t>(left.size()),
                     static_cast<std::uint32_t>(right.size())});
  text += left;
  text += right;
}

Result<Bpe> Bpe::create(Vocabulary vocabulary, const MergeList& merges, BpeOptions options,
                        std::string_view where) {
  Bpe bpe;
  bpe.vocabulary_ = std::move(vocabulary);
  bpe.options_ = std::move(options);
  const Vocabulary& tokens = bpe.vocabulary_;
  bpe.merges_ = MergeTable(merges.entries.size());
  std::uint32_t rank = 0;
  for (const auto& entry : merges.entries) {
    const TokenId left = tokens.find(merges.left(entry));
    const TokenId right = tokens.find(merges.right(entry));
    const TokenId merged = tokens.find(merges.merged(entry));
    if (left < 0 || right < 0 || merged < 0) {
      return fail("{}: model.merges[{}] ('{}' and '{}'): '{}' is not in the vocabulary", where, rank,
                  merges.left(entry), merges.right(entry),
                  left < 0    ? merges.left(entry)
                  : right < 0 ? merges.right(entry)
                              : merges.merged(entry));
    }
    bpe.merges_.insert(left, right, {rank++, merged});
  }
  for (std::size_t c = 0; c < bpe.small_.size(); ++c) {
    std::string text;
    append_utf8(text, static_cast<char32_t>(c));
    bpe.small_[c] = tokens.find(text);
  }
  for (std::size_t b = 0; b < bpe.byte_ids_.size(); ++b)
    bpe.byte_ids_[b] = tokens.find(fmt::format("<0x{:02X}>", b));
  if (bpe.options_.has_unknown) bpe.unknown_id_ = tokens.find(bpe.options_.unknown_token);
  return bpe;
}

void Bpe::set_special(const std::vector<TokenId>& ids) {
  special_.assign(vocabulary_.id_limit(), false);
  for (const TokenId id : ids) {
    if (static_cast<std::size_t>(id) < special_.size()) special_[static_cast<std::size_t>(id)] = true;
  }
}

TokenId Bpe::character_id(char32_t c, std::string_view bytes) const {
  return c < small_.size() ? small_[c] : vocabulary_.find(bytes);
}

bool Bpe::append_bytes(std::string_view character, BpeScratch& scratch) const {
  const auto id_of = [this](char c) { return byte_ids_[static_cast<std::uint8_t>(c)]; };
  if (std::any_of(character.begin(), character.end(), [&](char c) { return id_of(c) < 0; })) return false;
  for (const char c : character) append_symbol(id_of(c), scratch.symbols);
  return true;
}

// `pending`: an unknown token was met and not yet written, since more characters may join it.
Status Bpe::append_unknown(bool& pending, BpeScratch& scratch) const {
  if (unknown_id_ < 0) {
    return fail(
        "the text has a character outside the vocabulary, and model.unk_token '{}' is no token either",
        options_.unknown_token);
  }
  if (pending && !options_.fuse_unknown) append_symbol(unknown_id_, scratch.symbols);
  pending = true;
  return {};
}

Status Bpe::split(std::string_view word, BpeScratch& scratch) const {
  bool pending = false;
  for (std::size_t i = 0; i < word.size();) {
    const CodePoint c = code_point_at(word, i);
    const std::string_view bytes = word.substr(i, c.length);
    i += c.length;
    const TokenId id = character_id(c.value, bytes);
    if (id >= 0) {
      if (pending) append_symbol(unknown_id_, scratch.symbols);
      pending = false;
      append_symbol(id, scratch.symbols);
      continue;
    }
    // Bytes do not flush a waiting unknown token: it comes after them. Odd, but what Hugging Face does; it
    // needs a vocabulary with only some of the 256 byte tokens.
    if (options_.byte_fallback && append_bytes(bytes, scratch)) continue;
    if (options_.has_unknown) STERNA_CHECK(append_unknown(pending, scratch));
  }
  if (pending) append_symbol(unknown_id_, scratch.symbols);
  return {};
}

// Puts the merge of the symbol and its right neighbour into the queue, if there is a rule for it.
void Bpe::propose(std::int32_t left, bool allow_special, BpeScratch& scratch) const {
  const auto& symbol = scratch.symbols[static_cast<std::size_t>(left)];
  if (symbol.next < 0) return;
  const MergeRule rule = merges_.find(symbol.id, scratch.symbols[static_cast<std::size_t>(symbol.next)].id);
  if (rule.merged < 0 || (!allow_special && is_special(rule.merged))) return;
  scratch.queue.push_back(
      {(std::uint64_t{rule.rank} << 32U) | static_cast<std::uint32_t>(left), rule.merged});
}

void Bpe::merge(bool allow_special, BpeScratch& scratch) const {
  auto& symbols = scratch.symbols;
  auto& queue = scratch.queue;
  const auto propose_and_sift = [&](std::int32_t left) {
    const std::size_t size = queue.size();
    propose(left, allow_special, scratch);
    if (queue.size() != size) std::push_heap(queue.begin(), queue.end(), comes_later);
  };
  queue.clear();
  for (std::size_t i = 0; i < symbols.size(); ++i)
    propose(static_cast<std::int32_t>(i), allow_special, scratch);
  std::make_heap(queue.begin(), queue.end(), comes_later);
  while (!queue.empty()) {
    std::pop_heap(queue.begin(), queue.end(), comes_later);
    const BpeScratch::Candidate top = queue.back();
    queue.pop_back();
    ++scratch.queue_pops;
    const auto position = static_cast<std::int32_t>(top.order & 0xFFFFFFFFU);
    auto& left = symbols[static_cast<std::size_t>(position)];
    // The entry is stale if the symbol or its neighbour was merged since: then the pair no longer makes this
    // token.
    if (left.id < 0 || left.next < 0) continue;
    auto& right = symbols[static_cast<std::size_t>(left.next)];
    if (merges_.find(left.id, right.id).merged != top.merged) continue;
    left.id = top.merged;
    left.next = right.next;
    right.id = -1;
    if (left.next >= 0) symbols[static_cast<std::size_t>(left.next)].previous = position;
    if (left.previous >= 0) propose_and_sift(left.previous);
    propose_and_sift(position);
  }
}

Status Bpe::tokenize(std::string_view word, bool allow_special, BpeScratch& scratch,
                     std::vector<TokenId>& ids) const {
  assert(word.size() <= static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max()));
  if (options_.ignore_merges) {
    const TokenId id = vocabulary_.find(word);
    if (id >= 0 && (allow_special || !is_special(id))) {
      ids.push_back(id);
      return {};
    }
  }
  scratch.symbols.clear();
  STERNA_CHECK(split(word, scratch));
  merge(allow_special, scratch);
  for (const auto& symbol : scratch.symbols) {
    if (symbol.id >= 0) ids.push_back(symbol.id);
  }
  return {};
}

}  // namespace sterna::runtime::tokenization
