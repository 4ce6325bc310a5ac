#include "runtime/fingerprints.h"

#include <algorithm>
#include <string>

namespace sterna::runtime {
namespace {

constexpr std::size_t kShortest = 24;

bool is_space(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

std::uint32_t hash_of(std::string_view piece) {
  std::uint64_t hash = 0xCBF29CE484222325U;
  for (const char c : piece) {
    if (is_space(c)) continue;
    hash ^= static_cast<unsigned char>(c);
    hash *= 0x100000001B3U;
  }
  return static_cast<std::uint32_t>(hash >> 32);
}

// Does a piece end behind position i?
bool ends_at(std::string_view text, std::size_t i) {
  if (text[i] == '\n') return true;
  if (text[i] == ' ' && i > 0) return text[i - 1] == '.' || text[i - 1] == '!' || text[i - 1] == '?';
  if (i < 2) return false;
  const std::string_view three = text.substr(i - 2, 3);
  return three == "。" || three == "！" || three == "？";
}

template <class Take>
void for_each_piece(std::string_view text, Take take) {
  std::size_t begin = 0;
  for (std::size_t i = 0; i <= text.size(); ++i) {
    if (i < text.size() && !ends_at(text, i)) continue;
    const std::size_t end = std::min(text.size(), i + 1);
    const std::string_view piece = text.substr(begin, end - begin);
    if (piece.size() >= kShortest) take(hash_of(piece));
    begin = end;
  }
}

}  // namespace

std::vector<std::uint32_t> fingerprints(std::span<const std::string_view> texts) {
  std::vector<std::uint32_t> hashes;
  for (const std::string_view text : texts) {
    for_each_piece(text, [&](std::uint32_t hash) { hashes.push_back(hash); });
  }
  std::ranges::sort(hashes);
  hashes.erase(std::unique(hashes.begin(), hashes.end()), hashes.end());
  hashes.resize(std::min(hashes.size(), kMostFingerprints));
  return hashes;
}

double share_known(std::string_view text, std::span<const std::uint32_t> known) {
  if (known.empty()) return 0.0;
  const std::uint32_t limit = known.size() < kMostFingerprints ? 0xFFFFFFFFU : known.back();
  std::size_t shown = 0;
  std::size_t found = 0;
  for_each_piece(text, [&](std::uint32_t hash) {
    if (hash > limit) return;
    ++shown;
    if (std::ranges::binary_search(known, hash)) ++found;
  });
  return shown == 0 ? 0.0 : static_cast<double>(found) / static_cast<double>(shown);
}

}  // namespace sterna::runtime
