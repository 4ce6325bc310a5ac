// Dot products in sixteen lanes, several at once.
#pragma once

#include "kernels/lanes/lanes.h"

namespace sterna::kernels {

// out[t * rows + r] = sum over c < n of row(r)[c] * x[t * x_stride + c], rows row_bytes apart and of
// `type`. The lanes of each product follow lanes.h whatever `rows` and `tokens` are. One product is a
// chain of additions of 3-4 cycles each; four at once keep two adders busy. `soon` lies in memory as the rows
// do and is prefetched: what is read next.
template <Isa isa, DenseType type, std::size_t rows, std::size_t tokens>
inline void dots(const std::uint8_t* row, std::size_t row_bytes, const float* x, std::size_t x_stride,
                 std::size_t n, const std::uint8_t* soon, float* out) {
  using F = F32x16<isa>;
  F sums[rows * tokens];
  unrolled<rows * tokens>([&](auto i) __attribute__((always_inline)) { sums[i] = F::zero(); });
  const auto step = [&](std::size_t c, auto load_row, auto load_x) __attribute__((always_inline)) {
    unrolled<rows>([&](auto r) __attribute__((always_inline)) {
      const F w = load_row(row + r * row_bytes + c * dense_bytes(type));
      unrolled<tokens>([&](auto t) __attribute__((always_inline)) {
        sums[t * rows + r] = sums[t * rows + r] + w * load_x(x + t * x_stride + c);
      });
    });
  };
  const std::size_t whole = n / kLanes * kLanes;
  for (std::size_t c = 0; c < whole; c += kLanes) {
    if (rows > 1 && c * dense_bytes(type) % 64 == 0) {
      for (std::size_t r = 0; r < rows; ++r) prefetch(soon + r * row_bytes + c * dense_bytes(type));
    }
    step(c, load<isa, type>, [](const float* p) { return F::load(p); });
  }
  if (const std::size_t rest = n - whole; rest != 0) {
    step(
        whole, [rest](const void* p) { return load_first<isa, type>(p, rest); },
        [rest](const float* p) { return load_first<isa>(p, rest); });
  }
  if constexpr (rows * tokens % 4 == 0) {
    unrolled<rows * tokens / 4>([&](auto i)
                                    __attribute__((always_inline)) { F::sums(sums + 4 * i, out + 4 * i); });
  } else {
    unrolled<rows * tokens>([&](auto i) __attribute__((always_inline)) { out[i] = sums[i].sum(); });
  }
}

// out[t * rows + r] = sum over c < n of row(r)[c] * x[t * x_stride + c], exact. n is a multiple of 64;
// out holds round_up(rows * tokens, 4). first[t] = -kOffset * the sum of x over the token.
template <Isa isa, std::size_t rows, std::size_t tokens>
inline void int8_dots(const std::int8_t* row, std::size_t row_bytes, const typename LaneOps<isa>::Factor* x,
                      std::size_t x_stride, const std::int32_t* first, std::size_t n,
                      const std::uint8_t* soon, std::int32_t* out) {
  using Ops = LaneOps<isa>;
  constexpr std::size_t fours = round_up(rows * tokens, 4) / 4;
  typename Ops::Totals totals[4 * fours];
  unrolled<4 * fours>([&](auto i) __attribute__((always_inline)) {
    totals[i] = Ops::first_totals(i / rows < tokens ? first[i / rows] : 0);
  });
  for (std::size_t c = 0; c < n; c += Ops::kBytes) {
    if (c % 64 == 0) {
      for (std::size_t r = 0; r < rows; ++r) prefetch(soon + r * row_bytes + c);
    }
    unrolled<rows>([&](auto r) __attribute__((always_inline)) {
      const auto bytes = Ops::load_bytes(row + r * row_bytes + c);
      unrolled<tokens>([&](auto t) __attribute__((always_inline)) {
        totals[t * rows + r] = Ops::add_products(totals[t * rows + r], bytes, x + t * x_stride + c);
      });
    });
  }
  unrolled<fours>([&](auto i)
                      __attribute__((always_inline)) { Ops::store_totals(totals + 4 * i, out + 4 * i); });
}

}  // namespace sterna::kernels
