// Into and out of the layout of TernaryView (views.h has the index equation). The same bytes on every
// machine.
//
// One tile of one plane in two bits, 64 bytes; Rr,c is the code (T + 1) of row r and column c of the tile:
//
//     byte      bits 0-1   bits 2-3   bits 4-5   bits 6-7
//     0         R0,0       R0,4       R0,8       R0,12
//     1         R0,1       R0,5       R0,9       R0,13
//     2         R0,2       R0,6       R0,10      R0,14
//     3         R0,3       R0,7       R0,11      R0,15
//     4         R1,0       R1,4       R1,8       R1,12
//     ...
//     63        R15,3      R15,7      R15,11     R15,15
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/views.h"

namespace sterna::kernels {

// All there are.
struct PackedForm {
  CodeForm form;
  std::size_t planes;
  [[nodiscard]] bool takes_groups() const { return form != CodeForm::base3; }
};
inline constexpr PackedForm kPackedForms[] = {
    {CodeForm::trit2, 1}, {CodeForm::trit2, 2}, {CodeForm::trit2, 3},
    {CodeForm::base3, 1}, {CodeForm::pairs, 2}, {CodeForm::triples, 3},
};

// Bytes of the codes of `rows` rows, padding included.
[[nodiscard]] std::size_t packed_bytes(std::size_t rows, std::size_t columns, std::size_t planes,
                                       CodeForm form = CodeForm::trit2);

// The largest weight that `planes` trits express, (3^planes - 1) / 2: 1, 4, 13.
[[nodiscard]] int max_weight(std::size_t planes);

// Packs `rows` rows of row-major weights values[r * columns + c], each within +-max_weight(planes), to
// packed_bytes(rows, columns, planes, form) bytes. Padding rows and columns get W = 0. A matrix can be
// packed in slabs, in any order or in parallel: a slab that starts at row 16b belongs to codes +
// packed_bytes(16b, ...).
void pack_rows(const std::int8_t* values, std::size_t rows, std::size_t columns, std::size_t planes,
               std::uint8_t* codes, CodeForm form = CodeForm::trit2);

// The weight W(row, column) as an integer, without its scale.
[[nodiscard]] int unpack(const TernaryView& w, std::size_t row, std::size_t column);

// One whole row: values[c] = W(row, c), w.columns of them.
void unpack_row(const TernaryView& w, std::size_t row, std::int8_t* values);

// The rows of a block, at most 16, row-major: some ten times as fast as one by one.
void unpack_block(const TernaryView& w, std::size_t block, std::int8_t* values);

// scale(row, column / group) as float (see views.h).
[[nodiscard]] float scale_at(const TernaryView& w, std::size_t row, std::size_t column);

// Does a code that no weight has occur in the tiles that the bytes [first, end) of the codes touch? Then the
// bytes are no ternary matrix and the bounds of ternary_matmul.h do not hold.
[[nodiscard]] bool has_invalid_code(const TernaryView& w, std::size_t first, std::size_t end);
[[nodiscard]] inline bool has_invalid_code(const TernaryView& w) {
  return has_invalid_code(w, 0, w.code_bytes());
}

}  // namespace sterna::kernels
