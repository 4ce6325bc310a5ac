// The oracle for tests: a rotation of complex numbers in double precision.
#pragma once

#include <complex>
#include <cstddef>

namespace sterna::kernels {

inline void reference_rope(const float* x, std::size_t heads, std::size_t head_dim, const float* cos,
                           const float* sin, double* y) {
  const std::size_t half = head_dim / 2;
  for (std::size_t h = 0; h < heads; ++h) {
    for (std::size_t i = 0; i < half; ++i) {
      const std::size_t at = h * head_dim + i;
      const auto turned = std::complex<double>(x[at], x[at + half]) * std::complex<double>(cos[i], sin[i]);
      y[at] = turned.real();
      y[at + half] = turned.imag();
    }
  }
}

}  // namespace sterna::kernels
