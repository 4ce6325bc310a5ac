// Recognises a text that a model was calibrated on, from a few thousand hashes that its file carries.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace sterna::runtime {

// A text's pieces are what stands between line breaks, and between the ends of sentences ('.', '!', '?' and a
// space, or the Japanese ones); pieces of less than 24 bytes are left out. A hash is the upper half of 64-bit
// FNV-1a over a piece without its spaces and line breaks. Of the different ones the kMostFingerprints
// smallest are kept, ascending: two texts that share pieces share hashes below the smaller of their largest.
inline constexpr std::size_t kMostFingerprints = 4096;
std::vector<std::uint32_t> fingerprints(std::span<const std::string_view> texts);

// The share of the pieces of `text` that the texts behind `known` hold, too: 0 to 1, estimated from those
// that `known` would show.
double share_known(std::string_view text, std::span<const std::uint32_t> known);

// From this share on a text counts as one that the model has seen. Other articles of the same encyclopedia
// share 0.1 % (headings, phrases).
inline constexpr double kSeenShare = 0.02;

}  // namespace sterna::runtime
