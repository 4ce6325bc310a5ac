// The oracle for tests: one weight as a double, the two half formats decoded from their definition.
#pragma once

#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/views.h"

namespace sterna::kernels {

// sign (1 bit), exponent (`bits` bits, biased), mantissa (the rest of 16 bits)
inline double reference_half(std::uint16_t h, int exponent_bits) {
  const int mantissa_bits = 15 - exponent_bits;
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const int exponent = (h & 0x7FFF) >> mantissa_bits;
  const int mantissa = h & ((1 << mantissa_bits) - 1);
  const double sign = (h & 0x8000) != 0 ? -1 : 1;
  if (exponent == (1 << exponent_bits) - 1) {
    return mantissa != 0 ? std::numeric_limits<double>::quiet_NaN()
                         : sign * std::numeric_limits<double>::infinity();
  }
  if (exponent == 0) return sign * std::ldexp(mantissa, 1 - bias - mantissa_bits);
  return sign * std::ldexp((1 << mantissa_bits) + mantissa, exponent - bias - mantissa_bits);
}

inline double reference_weight(const DenseView& w, std::size_t row, std::size_t column) {
  const std::uint8_t* p = w.row(row) + column * dense_bytes(w.type);
  if (w.type == DenseType::i8)
    return static_cast<double>(w.row_scales[row]) * *reinterpret_cast<const std::int8_t*>(p);
  float single = 0;
  std::uint16_t half = 0;
  std::memcpy(w.type == DenseType::f32 ? static_cast<void*>(&single) : &half, p, dense_bytes(w.type));
  return w.type == DenseType::f32 ? single : reference_half(half, w.type == DenseType::f16 ? 5 : 8);
}

}  // namespace sterna::kernels
