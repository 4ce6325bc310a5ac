// The forms of codes (views.h), known to the compiler.
#pragma once

#include "kernels/views.h"

namespace sterna::kernels {

// Codes are numbers 0 .. 3^planes - 1, W + kOffset. "Fields" are the registers of 64 bytes that hold the
// codes of four columns each when a tile is split, one code in a byte.
template <CodeForm form_, std::size_t planes_>
struct Codes {
  static constexpr CodeForm kForm = form_;
  static constexpr std::size_t kPlanes = planes_;
  static constexpr std::size_t kColumns = tile_columns(form_);
  static constexpr std::size_t kFields = kColumns / 4;
  static constexpr std::size_t kBytes = tile_bytes(form_, planes_);
  static constexpr std::size_t kGroupTiles = kGroupColumns / kColumns;
  static constexpr std::int32_t kOffset = planes_ == 1 ? 1 : planes_ == 2 ? 4 : 13;
  static constexpr bool kTwoBits = form_ == CodeForm::trit2;
};

// One code of a tile, by its field and its place in the field's 64 bytes ("lane").
template <class C>
[[gnu::always_inline]] inline int code_at(const std::uint8_t* tile, std::size_t field, std::size_t lane) {
  if constexpr (C::kForm == CodeForm::base3) {
    constexpr std::uint8_t powers[] = {1, 3, 9, 27, 81};
    return tile[lane] / powers[field] % 3;
  } else if constexpr (C::kTwoBits) {
    int code = 0;
    for (std::size_t p = 0; p < C::kPlanes; ++p)
      code = 3 * code + (tile[p * kTileBytes + lane] >> 2 * field & 3);
    return code;
  } else {
    const int low = tile[field / 2 * kTileBytes + lane] >> field % 2 * 4 & 15;
    return C::kForm == CodeForm::pairs ? low : low | (tile[4 * kTileBytes + lane] >> field & 1) << 4;
  }
}

template <class Body>
[[gnu::always_inline]] inline void with_codes(const TernaryView& w, Body&& body) {
  switch (w.form) {
    case CodeForm::trit2:
      return w.planes == 1   ? body(Codes<CodeForm::trit2, 1>{})
             : w.planes == 2 ? body(Codes<CodeForm::trit2, 2>{})
                             : body(Codes<CodeForm::trit2, 3>{});
    case CodeForm::base3:
      return body(Codes<CodeForm::base3, 1>{});
    case CodeForm::pairs:
      return body(Codes<CodeForm::pairs, 2>{});
    case CodeForm::triples:
      return body(Codes<CodeForm::triples, 3>{});
  }
}

}  // namespace sterna::kernels
