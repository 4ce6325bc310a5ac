// Dot products in sixteen lanes, several at once.
#pragma once

#include "kernels/lanes/lanes.h"

namespace sterna::kernels {

// out[r * tokens + t] = sum over c < n of row(r)[c] * x[t * x_stride + c], rows row_bytes apart and of
// `type`. The lanes of each product follow lanes.h whatever `rows` and `tokens` are. One product is a
// chain of additions of 3-4 cycles each; four at once keep two adders busy.
template <Isa isa, DenseType type, std::size_t rows, std::size_t tokens>
inline void dots(const std::uint8_t* row, std::size_t row_bytes, const float* x, std::size_t x_stride,
                 std::size_t n, float* out) {
  using F = F32x16<isa>;
  F sums[rows][tokens];
  unrolled<rows * tokens>([&](auto i) { sums[i / tokens][i % tokens] = F::zero(); });
  const auto step = [&](std::size_t c, auto load_row, auto load_x) __attribute__((always_inline)) {
    unrolled<rows>([&](auto r) __attribute__((always_inline)) {
      const F w = load_row(row + r * row_bytes + c * dense_bytes(type));
      unrolled<tokens>([&](auto t) __attribute__((always_inline)) {
        sums[r][t] = sums[r][t] + w * load_x(x + t * x_stride + c);
      });
    });
  };
  const std::size_t whole = n / kLanes * kLanes;
  for (std::size_t c = 0; c < whole; c += kLanes) {
    if (rows > 1 && c * dense_bytes(type) % 64 == 0) {
      for (std::size_t r = 0; r < rows; ++r) prefetch_ahead(row + r * row_bytes + c * dense_bytes(type));
    }
    step(c, load<isa, type>, [](const float* p) { return F::load(p); });
  }
  if (const std::size_t rest = n - whole; rest != 0) {
    step(
        whole, [rest](const void* p) { return load_first<isa, type>(p, rest); },
        [rest](const float* p) { return load_first<isa>(p, rest); });
  }
  unrolled<rows * tokens>([&](auto i) { out[i] = sums[i / tokens][i % tokens].sum(); });
}

}  // namespace sterna::kernels
