// The oracles for tests: the definition's butterflies in plain floats, whose bits every instruction set must
// return, and the matrix itself in double precision.
#pragma once

#include <bit>
#include <cmath>
#include <cstddef>

namespace sterna::kernels {

inline void reference_rotate(const float* x, const float* factors, std::size_t columns, std::size_t block,
                             float* y) {
  for (std::size_t i = 0; i < columns; ++i) y[i] = x[i] * factors[i];
  for (std::size_t stride = 1; stride < block; stride *= 2) {
    for (std::size_t i = 0; i < columns; ++i) {
      if ((i % block & stride) != 0) continue;
      const float a = y[i];
      const float b = y[i + stride];
      y[i] = a + b;
      y[i + stride] = a - b;
    }
  }
}

// Column i of H (s o x), signs from the factors.
inline double reference_rotated(const float* x, const float* factors, std::size_t block, std::size_t i) {
  const std::size_t first = i / block * block;
  double sum = 0;
  for (std::size_t j = 0; j < block; ++j) {
    const bool minus = std::popcount((i - first) & j) % 2 != 0;
    const double signed_x = std::signbit(factors[first + j]) ? -double{x[first + j]} : double{x[first + j]};
    sum += minus ? -signed_x : signed_x;
  }
  return sum / std::sqrt(static_cast<double>(block));
}

}  // namespace sterna::kernels
