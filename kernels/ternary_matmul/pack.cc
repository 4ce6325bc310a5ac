#include "kernels/ternary_matmul/pack.h"

#include <cassert>
#include <cstring>

#include "kernels/lanes/half.h"
#include "kernels/ternary_matmul/codes.h"

namespace sterna::kernels {
namespace {

constexpr std::size_t kTripleBits = 4 * kTileBytes;  // where the high bits of a tile of triples begin
constexpr int kPowers[] = {1, 3, 9, 27, 81};

// The bytes of columns 4 field + j of a row of a tile; `lane` is 4 row + j. A byte of zeros is 0 everywhere.
template <class C>
void put(std::uint8_t* tile, std::size_t field, std::size_t lane, int code) {
  const auto add = [](std::uint8_t& byte, int bits) { byte = static_cast<std::uint8_t>(byte + bits); };
  if constexpr (C::kForm == CodeForm::base3) {
    add(tile[lane], code * kPowers[field]);
  } else if constexpr (C::kForm == CodeForm::trit2) {
    for (std::size_t plane = C::kPlanes; plane-- > 0; code /= 3)
      add(tile[plane * kTileBytes + lane], code % 3 << 2 * field);
  } else {
    add(tile[field / 2 * kTileBytes + lane], (code & 15) << field % 2 * 4);
    if constexpr (C::kForm == CodeForm::triples) add(tile[kTripleBits + lane], code >> 4 << field);
  }
}

// body(tile, field, lane, row, column) for everything in a block, padding included.
template <class C, class Body>
void for_block(std::size_t tiles, Body body) {
  for (std::size_t tile = 0; tile < tiles; ++tile) {
    for (std::size_t row = 0; row < kTileRows; ++row) {
      for (std::size_t field = 0; field < C::kFields; ++field) {
        for (std::size_t j = 0; j < 4; ++j)
          body(tile * C::kBytes, field, 4 * row + j, row, tile * C::kColumns + 4 * field + j);
      }
    }
  }
}

TernaryView shape_of(std::size_t rows, std::size_t columns, std::size_t planes, CodeForm form) {
  TernaryView w;
  w.rows = rows;
  w.columns = columns;
  w.planes = planes;
  w.form = form;
  return w;
}

// Whether one of the bytes, which are whole tiles, holds what put() never makes. No branches, for vectors.
template <class C>
bool is_invalid(const std::uint8_t* codes, std::size_t bytes) {
  unsigned faults = 0;
  if constexpr (C::kForm == CodeForm::triples) {
    for (std::size_t tile = 0; tile < bytes; tile += C::kBytes) {
      for (std::size_t i = 0; i < C::kFields * kTileBytes; ++i)
        faults |= code_at<C>(codes + tile, i / kTileBytes, i % kTileBytes) > 2 * C::kOffset ? 1U : 0U;
    }
    return faults != 0;
  }
  std::uint8_t fault = 0;
  for (std::size_t i = 0; i < bytes; ++i) {
    const unsigned byte = codes[i];
    unsigned bad = 0;
    if constexpr (C::kForm == CodeForm::base3) bad = byte > 242 ? 1U : 0U;
    if constexpr (C::kForm == CodeForm::trit2) bad = byte & byte >> 1U & 0x55U;
    if constexpr (C::kForm == CodeForm::pairs) bad = (((byte & 15U) + 7U) | ((byte >> 4U) + 7U)) & 16U;
    fault = static_cast<std::uint8_t>(fault | bad);
  }
  return fault != 0;
}

}  // namespace

std::size_t packed_bytes(std::size_t rows, std::size_t columns, std::size_t planes, CodeForm form) {
  return shape_of(rows, columns, planes, form).code_bytes();
}

int max_weight(std::size_t planes) {
  assert(planes >= 1 && planes <= kMaxPlanes);
  return planes == 1 ? 1 : planes == 2 ? 4 : 13;
}

void pack_rows(const std::int8_t* values, std::size_t rows, std::size_t columns, std::size_t planes,
               std::uint8_t* codes, CodeForm form) {
  const TernaryView w = shape_of(rows, columns, planes, form);
  std::memset(codes, 0, w.code_bytes());
  with_codes(w, [&](auto c) {
    using C = decltype(c);
    for (std::size_t block = 0; block < w.row_blocks(); ++block) {
      for_block<C>(w.tiles(), [&](std::size_t tile, std::size_t field, std::size_t lane, std::size_t r,
                                  std::size_t column) {
        const std::size_t row = block * kTileRows + r;
        const int weight = row < rows && column < columns ? values[row * columns + column] : 0;
        assert(weight >= -C::kOffset && weight <= C::kOffset);
        put<C>(codes + block * w.block_bytes() + tile, field, lane, weight + C::kOffset);
      });
    }
  });
}

int unpack(const TernaryView& w, std::size_t row, std::size_t column) {
  assert(row < w.rows && column < w.columns);
  int weight = 0;
  with_codes(w, [&](auto c) {
    using C = decltype(c);
    const std::size_t in_tile = column % C::kColumns;
    weight = code_at<C>(w.codes + row / kTileRows * w.block_bytes() + column / C::kColumns * C::kBytes,
                        in_tile / 4, row % kTileRows * 4 + in_tile % 4) -
             C::kOffset;
  });
  return weight;
}

void unpack_row(const TernaryView& w, std::size_t row, std::int8_t* values) {
  for (std::size_t c = 0; c < w.columns; ++c) values[c] = static_cast<std::int8_t>(unpack(w, row, c));
}

void unpack_block(const TernaryView& w, std::size_t block, std::int8_t* values) {
  assert(block < w.row_blocks());
  with_codes(w, [&](auto c) {
    using C = decltype(c);
    const std::uint8_t* codes = w.codes + block * w.block_bytes();
    for_block<C>(w.tiles(), [&](std::size_t tile, std::size_t field, std::size_t lane, std::size_t r,
                                std::size_t column) {
      if (block * kTileRows + r >= w.rows || column >= w.columns) return;
      values[r * w.columns + column] =
          static_cast<std::int8_t>(code_at<C>(codes + tile, field, lane) - C::kOffset);
    });
  });
}

float scale_at(const TernaryView& w, std::size_t row, std::size_t column) {
  assert(row < w.rows && column < w.columns);
  const std::size_t at =
      w.group == 0 ? 0 : (row / kTileRows * w.groups() + column / w.group) * kTileRows + row % kTileRows;
  return w.scale_type == ScaleType::f32 ? static_cast<const float*>(w.scales)[at]
                                        : f16_to_float(static_cast<const Float16Bits*>(w.scales)[at]);
}

bool has_invalid_code(const TernaryView& w, std::size_t first, std::size_t end) {
  bool invalid = false;
  with_codes(w, [&](auto c) {
    using C = decltype(c);
    // A damaged file may hold anything: what is asked for is whole tiles.
    invalid = is_invalid<C>(w.codes + first / C::kBytes * C::kBytes,
                            round_up(end, C::kBytes) - first / C::kBytes * C::kBytes);
  });
  return invalid;
}

}  // namespace sterna::kernels
