#pragma once

#include <type_traits>

#include "kernels/dense_matmul/dense_matmul.h"
#include "kernels/lanes/dot.h"

namespace sterna::kernels {

struct DenseOutput {
  float* y;
  std::size_t stride;
};

// `rows` rows from `row` times `tokens` tokens from `token`.
template <Isa isa, DenseType type, std::size_t rows, std::size_t tokens>
inline void dense_tile(const DenseView& w, const float* x, std::size_t x_stride, std::size_t row,
                       std::size_t token, DenseOutput out) {
  float sums[rows * tokens];
  dots<isa, type, rows, tokens>(w.row(row), w.columns * dense_bytes(type), x + token * x_stride, x_stride,
                                w.columns, w.row(row) + kPrefetchBytes, sums);
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t t = 0; t < tokens; ++t) {
      const float sum = sums[t * rows + r];
      out.y[(token + t) * out.stride + row + r] = type == DenseType::i8 ? w.row_scales[row + r] * sum : sum;
    }
  }
}

// Four sums at a time: a row times four tokens, so that it is converted once for them; what is left over goes
// four rows times one token, or one row. Two rows times two tokens halve what is read of x, and were slower
// (docs/kernels.md).
template <Isa isa, DenseType type>
void dense_matmul_typed(const DenseView& w, const float* x, std::size_t tokens, std::size_t x_stride,
                        std::size_t row_begin, std::size_t row_end, DenseOutput out) {
  const std::size_t by_four = tokens / 4 * 4;
  for (std::size_t row = row_begin; row < row_end; ++row) {
    for (std::size_t t = 0; t < by_four; t += 4) dense_tile<isa, type, 1, 4>(w, x, x_stride, row, t, out);
  }
  for (std::size_t t = by_four; t < tokens; ++t) {
    std::size_t row = row_begin;
    for (; row + 4 <= row_end; row += 4) dense_tile<isa, type, 4, 1>(w, x, x_stride, row, t, out);
    for (; row < row_end; ++row) dense_tile<isa, type, 1, 1>(w, x, x_stride, row, t, out);
  }
}

template <Isa isa>
void dense_matmul(const DenseView& w, const float* x, std::size_t tokens, std::size_t x_stride,
                  std::size_t row_begin, std::size_t row_end, float* y, std::size_t y_stride) {
  const auto run = [&](auto type) {
    dense_matmul_typed<isa, type.value>(w, x, tokens, x_stride, row_begin, row_end, {y, y_stride});
  };
  switch (w.type) {
    case DenseType::f32:
      return run(std::integral_constant<DenseType, DenseType::f32>{});
    case DenseType::f16:
      return run(std::integral_constant<DenseType, DenseType::f16>{});
    case DenseType::bf16:
      return run(std::integral_constant<DenseType, DenseType::bf16>{});
    case DenseType::i8:
      return run(std::integral_constant<DenseType, DenseType::i8>{});
  }
}

}  // namespace sterna::kernels
