#pragma once

#include "kernels/dense_row/dense_row.h"
#include "kernels/lanes/lanes.h"

namespace sterna::kernels {

template <Isa isa, DenseType type>
void dense_row_typed(const DenseView& w, std::size_t row, float* out) {
  const std::uint8_t* data = w.row(row);
  const auto scaled = [&](F32x16<isa> x) {
    return type == DenseType::i8 ? F32x16<isa>::broadcast(w.row_scales[row]) * x : x;
  };
  std::size_t c = 0;
  for (; c + kLanes <= w.columns; c += kLanes)
    scaled(load<isa, type>(data + c * dense_bytes(type))).store(out + c);
  if (const std::size_t rest = w.columns - c; rest != 0) {
    store_first<isa>(scaled(load_first<isa, type>(data + c * dense_bytes(type), rest)), out + c, rest);
  }
}

template <Isa isa>
void dense_row(const DenseView& w, std::size_t row, float* out) {
  switch (w.type) {
    case DenseType::f32:
      return dense_row_typed<isa, DenseType::f32>(w, row, out);
    case DenseType::f16:
      return dense_row_typed<isa, DenseType::f16>(w, row, out);
    case DenseType::bf16:
      return dense_row_typed<isa, DenseType::bf16>(w, row, out);
    case DenseType::i8:
      return dense_row_typed<isa, DenseType::i8>(w, row, out);
  }
}

}  // namespace sterna::kernels
