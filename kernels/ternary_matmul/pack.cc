#include "kernels/ternary_matmul/pack.h"

#include <cassert>
#include <cstring>

#include "kernels/lanes/half.h"

namespace sterna::kernels {
namespace {

struct Position {
  std::size_t byte;
  unsigned shift;
};

// The index equation of views.h for the first plane; plane p is p * kTileBytes further.
Position position(std::size_t tiles, std::size_t planes, std::size_t row, std::size_t column) {
  const std::size_t tile = row / kTileRows * tiles + column / kTileColumns;
  return {tile * planes * kTileBytes + row % kTileRows * 4 + column % 4,
          static_cast<unsigned>(column % kTileColumns / 4 * 2)};
}

}  // namespace

std::size_t packed_bytes(std::size_t rows, std::size_t columns, std::size_t planes) {
  return round_up(rows, kTileRows) / kTileRows * (round_up(columns, kTileColumns) / kTileColumns) * planes *
         kTileBytes;
}

int max_weight(std::size_t planes) {
  assert(planes >= 1 && planes <= kMaxPlanes);
  return planes == 1 ? 1 : planes == 2 ? 4 : 13;
}

void pack_rows(const std::int8_t* values, std::size_t rows, std::size_t columns, std::size_t planes,
               std::uint8_t* codes) {
  const int largest = max_weight(planes);
  const std::size_t tiles = round_up(columns, kTileColumns) / kTileColumns;
  std::memset(codes, 0, packed_bytes(rows, columns, planes));
  for (std::size_t r = 0; r < round_up(rows, kTileRows); ++r) {
    for (std::size_t c = 0; c < tiles * kTileColumns; ++c) {
      const int weight = r < rows && c < columns ? values[r * columns + c] : 0;
      assert(weight >= -largest && weight <= largest);
      const Position at = position(tiles, planes, r, c);
      // The base-3 digits of weight + largest are the codes T + 1, the last one that of the finest plane.
      for (int plane = static_cast<int>(planes) - 1, digits = weight + largest; plane >= 0;
           --plane, digits /= 3) {
        std::uint8_t& byte = codes[at.byte + static_cast<std::size_t>(plane) * kTileBytes];
        byte = static_cast<std::uint8_t>(byte | digits % 3 << at.shift);
      }
    }
  }
}

int unpack(const TernaryView& w, std::size_t row, std::size_t column) {
  assert(row < w.rows && column < w.columns);
  const Position at = position(w.tiles(), w.planes, row, column);
  int weight = 0;
  for (std::size_t plane = 0; plane < w.planes; ++plane) {
    weight = 3 * weight + (w.codes[at.byte + plane * kTileBytes] >> at.shift & 3) - 1;
  }
  return weight;
}

void unpack_row(const TernaryView& w, std::size_t row, std::int8_t* values) {
  for (std::size_t c = 0; c < w.columns; ++c) values[c] = static_cast<std::int8_t>(unpack(w, row, c));
}

float scale_at(const TernaryView& w, std::size_t row, std::size_t column) {
  assert(row < w.rows && column < w.columns);
  const std::size_t at =
      w.group == 0 ? 0 : (row / kTileRows * w.groups() + column / w.group) * kTileRows + row % kTileRows;
  return w.scale_type == ScaleType::f32 ? static_cast<const float*>(w.scales)[at]
                                        : f16_to_float(static_cast<const Float16Bits*>(w.scales)[at]);
}

bool has_invalid_code(const std::uint8_t* codes, std::size_t bytes) {
  constexpr std::uint64_t kLowBits = 0x5555555555555555u;
  std::uint64_t both = 0;
  std::size_t i = 0;
  for (; i + sizeof both <= bytes; i += sizeof both) {
    std::uint64_t eight = 0;
    std::memcpy(&eight, codes + i, sizeof eight);
    both |= eight & eight >> 1 & kLowBits;
  }
  for (; i < bytes; ++i) both |= codes[i] & codes[i] >> 1 & 0x55;
  return both != 0;
}

}  // namespace sterna::kernels
