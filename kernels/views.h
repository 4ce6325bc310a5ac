// What kernels see: non-owning views, validated where they were made. No kernel checks a size that a file
// gave.
#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>

// always_inline below: these are used in files compiled for a newer instruction set, and no such copy of a
// common function may be left for the linker to pick for all callers.
namespace sterna::kernels {

using Float16Bits = std::uint16_t;   // IEEE 754 binary16, as bits
using BFloat16Bits = std::uint16_t;  // the upper half of a binary32, as bits

inline constexpr std::size_t kTileRows = 16;     // rows of one block of a ternary matrix
inline constexpr std::size_t kTileColumns = 16;  // columns of one tile of two-bit codes, 64 bytes a plane
inline constexpr std::size_t kTileBytes = 64;    // four bytes of each row: what one register of AVX-512 holds
inline constexpr std::size_t kGroupColumns =
    128;  // columns that share a scale, where there is one per row and group
inline constexpr std::size_t kMaxColumns = 1 << 20;  // bounds |sum| <= 2^20 * 128 * 13 < 2^31 (three planes)
inline constexpr std::size_t kMaxPlanes = 3;

[[gnu::always_inline]] constexpr std::size_t round_up(std::size_t n, std::size_t step) {
  return (n + step - 1) / step * step;
}

enum class ScaleType : std::uint8_t { f32, f16 };

// How the codes of a ternary matrix lie in memory. Blocks of 16 rows follow each other, in a block tiles of
// some columns. A tile is registers of 64 bytes, in which row r of the block has the bytes 4r .. 4r+3 and
// byte j holds the columns j, 4 + j, 8 + j, ...: one field of the four bytes meets four consecutive
// activations.
//     trit2    16 columns, a register per plane, coarsest first: T + 1 in two bits, lowest bits first
//     base3    20 columns, one plane: (T0 + 1) + 3 (T1 + 1) + ... + 81 (T4 + 1), five trits in a byte
//     pairs    16 columns, two planes folded: W + 4 in four bits; two registers of 8 columns each
//     triples  32 columns, three planes folded: the low four bits of W + 13 as in pairs, four registers; in a
//              fifth one bit f of byte j is the high bit of column 4f + j
// Rows are padded to 16 and columns to whole tiles, with W = 0.
enum class CodeForm : std::uint8_t { trit2, base3, pairs, triples };

[[gnu::always_inline]] constexpr std::size_t tile_columns(CodeForm form) {
  return form == CodeForm::base3 ? 20 : form == CodeForm::triples ? 32 : kTileColumns;
}
[[gnu::always_inline]] constexpr std::size_t tile_bytes(CodeForm form, std::size_t planes) {
  return kTileBytes * (form == CodeForm::base3     ? 1
                       : form == CodeForm::pairs   ? 2
                       : form == CodeForm::triples ? 5
                                                   : planes);
}

// Activations of a row are padded with zeros to so many, so that every form may read whole tiles.
[[gnu::always_inline]] constexpr std::size_t padded_columns(std::size_t columns) {
  return round_up(columns, kTileColumns) + kTileColumns;
}

// A ternary matrix in kernel order. The weight at (row, column) is scale(row, column / group) * W,
//     W = 3^(planes-1) T1 + 3^(planes-2) T2 + ...,  T in {-1, 0, 1}
// so scale is the step of the finest plane: for W ~ s (T1 + T2/3 + T3/9), scale = s / 3^(planes-1).
//
// codes: see CodeForm. With two bits, "trit2-16x16":
//     byte  = (((row / 16 * tiles + column / 16) * planes + plane) * 64 + row % 16 * 4 + column % 4)
//     shift = column % 16 / 4 * 2
// 64-byte aligned.
//
// scales: one value for the whole matrix (group == 0), or one per row and `group` (= 128) columns, the last
// group possibly short: scale(row, g) = scales[(row / 16 * groups + g) * 16 + row % 16]. 64-byte aligned when
// grouped.
struct TernaryView {
  std::size_t rows = 0;
  std::size_t columns = 0;  // 1 .. kMaxColumns
  std::size_t planes = 1;   // 1 .. 3
  std::size_t group = 0;    // 0 or kGroupColumns
  ScaleType scale_type = ScaleType::f32;
  const std::uint8_t* codes = nullptr;
  const void* scales = nullptr;
  CodeForm form = CodeForm::trit2;  // base3: 1 plane and one scale; pairs: 2 planes; triples: 3

  [[nodiscard, gnu::always_inline]] std::size_t row_blocks() const {
    return round_up(rows, kTileRows) / kTileRows;
  }
  [[nodiscard, gnu::always_inline]] std::size_t tiles() const {
    return (columns + tile_columns(form) - 1) / tile_columns(form);
  }
  [[nodiscard, gnu::always_inline]] std::size_t block_bytes() const {
    return tiles() * tile_bytes(form, planes);
  }
  [[nodiscard, gnu::always_inline]] std::size_t groups() const {
    return group == 0 ? 1 : round_up(columns, group) / group;
  }
  [[nodiscard, gnu::always_inline]] std::size_t code_bytes() const { return row_blocks() * block_bytes(); }
  [[nodiscard, gnu::always_inline]] std::size_t scale_count() const {
    return group == 0 ? 1 : row_blocks() * groups() * kTileRows;
  }
};

// Tokens x columns of int8 activations, one factor per token: x ~ inverse_scale[token] * q.
// q rows are padded with zeros to `stride`, a multiple of 16, at least padded_columns(columns) if matrices of
// all forms are to be multiplied; -128 <= q <= 127. sums[token * sum_stride + g]
// is the sum of q over columns 128g..128g+127.
struct QuantizedView {
  std::size_t tokens = 0;
  std::size_t columns = 0;
  std::size_t stride = 0;
  std::size_t sum_stride = 0;
  const std::int8_t* q = nullptr;
  const std::int32_t* sums = nullptr;
  const float* inverse_scale = nullptr;
};

enum class DenseType : std::uint8_t { f32, f16, bf16, i8 };

[[gnu::always_inline]] constexpr std::size_t dense_bytes(DenseType type) {
  return type == DenseType::f32 ? 4 : type == DenseType::i8 ? 1 : 2;
}

// A dense row-major matrix; i8 has one float scale per row (weight = row_scales[row] * value).
struct DenseView {
  std::size_t rows = 0;
  std::size_t columns = 0;
  DenseType type = DenseType::f32;
  const void* data = nullptr;
  const float* row_scales = nullptr;  // i8 only

  [[nodiscard, gnu::always_inline]] const std::uint8_t* row(std::size_t r) const {
    return static_cast<const std::uint8_t*>(data) + r * columns * dense_bytes(type);
  }
};

inline constexpr std::size_t kSplitColumns = 128;         // columns of one chunk of a split row
inline constexpr std::size_t kSplitMaxColumns = 1 << 16;  // bounds the sums of screen.h
inline constexpr std::size_t kSplitPlanes = 3;            // low bits, in planes of their own
inline constexpr std::size_t kSplitBounds = 2;            // norms of a row, see below
inline constexpr std::size_t kHighChunk = 80;             // bytes of the high five bits of a chunk
inline constexpr std::size_t kPlaneChunk = 16;            // bytes of one low bit of a chunk

// The parts of one row of a SplitView, wherever they are.
struct SplitRow {
  const std::uint8_t* high = nullptr;
  const std::uint8_t* planes[kSplitPlanes] = {};
};

// An int8 matrix whose bits lie apart ("i8-split"), so that its largest products can be found without all of
// them (screen/screen.h). The weight at (row, column) is row_scales[row] * v, -127 <= v <= 127, and
//     v + 128 = 8 u + 4 a + 2 b + c,   0 <= u <= 31,   a, b, c in {0, 1}
// Columns are padded to chunks of 128 with zero bits. The high part of a row is, for all its chunks, 64 bytes
// of the low four bits of u, and after those, for all its chunks, 16 bytes of its fifth bit. With column j of
// a chunk:
//     low four bits  byte j % 64, shift j / 64 * 4
//     fifth bit      byte j % 16, bit (j / 16 + 4) % 8
// The high parts of all rows follow each other, then (each padded to 64 bytes) those of a, of b and of c,
// which have 16 bytes for a chunk in the order of the fifth bit. 64-byte aligned.
//
// bounds[row] and bounds[rows + row] are the Euclidean norms, rounded up, of what u alone and u with a leave
// out of a row: 4 a + 2 b + c - 3.5 and 2 b + c - 1.5 over its columns.
struct SplitView {
  std::size_t rows = 0;
  std::size_t columns = 0;  // 1 .. kSplitMaxColumns
  const float* row_scales = nullptr;
  const std::uint8_t* codes = nullptr;
  const float* bounds = nullptr;

  [[nodiscard, gnu::always_inline]] std::size_t chunks() const {
    return round_up(columns, kSplitColumns) / kSplitColumns;
  }
  [[nodiscard, gnu::always_inline]] std::size_t high_row_bytes() const { return chunks() * kHighChunk; }
  [[nodiscard, gnu::always_inline]] std::size_t plane_row_bytes() const { return chunks() * kPlaneChunk; }
  // From `codes` on: where the high part of a row is, and its bits of plane 0 (a), 1 (b) or 2 (c).
  [[nodiscard, gnu::always_inline]] std::size_t high_at(std::size_t row) const {
    return row * high_row_bytes();
  }
  [[nodiscard, gnu::always_inline]] std::size_t plane_at(std::size_t plane, std::size_t row) const {
    return round_up(rows * high_row_bytes(), 64) + plane * round_up(rows * plane_row_bytes(), 64) +
           row * plane_row_bytes();
  }
  [[nodiscard, gnu::always_inline]] std::size_t code_bytes() const { return plane_at(kSplitPlanes, 0); }
  [[nodiscard, gnu::always_inline]] SplitRow row(std::size_t r) const {
    return {codes + high_at(r), {codes + plane_at(0, r), codes + plane_at(1, r), codes + plane_at(2, r)}};
  }
};

}  // namespace sterna::kernels
