// The definition of the lanes: plain floats, any machine.
#pragma once

#include "kernels/lanes/half.h"
#include "kernels/lanes/lanes.h"

namespace sterna::kernels {

template <>
struct F32x16<Isa::scalar> {
  float v[kLanes];
  static constexpr std::size_t kRegisters = 4;  // of SSE2, the baseline of x86-64

  template <class Lane>
  [[gnu::always_inline]] static F32x16 map(Lane lane) {
    F32x16 r;
    for (std::size_t i = 0; i < kLanes; ++i) r.v[i] = lane(i);
    return r;
  }

  static F32x16 broadcast(float x) {
    return map([=](std::size_t) { return x; });
  }
  static F32x16 zero() { return broadcast(0.0f); }
  static F32x16 load(const float* p) {
    return map([=](std::size_t i) { return p[i]; });
  }
  static F32x16 load_f16(const Float16Bits* p) {
    return map([=](std::size_t i) { return f16_to_float(p[i]); });
  }
  static F32x16 load_bf16(const BFloat16Bits* p) {
    return map([=](std::size_t i) { return bf16_to_float(p[i]); });
  }
  static F32x16 load_i8(const std::int8_t* p) {
    return map([=](std::size_t i) { return static_cast<float>(p[i]); });
  }
  static F32x16 load_i32(const std::int32_t* p) {
    return map([=](std::size_t i) { return static_cast<float>(p[i]); });
  }

  void store(float* p) const { __builtin_memcpy(p, v, sizeof v); }
  void store_f16(Float16Bits* p) const {
    for (std::size_t i = 0; i < kLanes; ++i) p[i] = float_to_f16(v[i]);
  }
  void store_i8(std::int8_t* p) const {
    for (std::size_t i = 0; i < kLanes; ++i) {
      p[i] = static_cast<std::int8_t>((v[i] + kRoundingMagic) - kRoundingMagic);
    }
  }

  friend F32x16 operator+(F32x16 a, F32x16 b) {
    return map([&](std::size_t i) { return a.v[i] + b.v[i]; });
  }
  friend F32x16 operator-(F32x16 a, F32x16 b) {
    return map([&](std::size_t i) { return a.v[i] - b.v[i]; });
  }
  friend F32x16 operator*(F32x16 a, F32x16 b) {
    return map([&](std::size_t i) { return a.v[i] * b.v[i]; });
  }
  friend F32x16 operator/(F32x16 a, F32x16 b) {
    return map([&](std::size_t i) { return a.v[i] / b.v[i]; });
  }
  static F32x16 max(F32x16 a, F32x16 b) {
    return map([&](std::size_t i) { return a.v[i] > b.v[i] ? a.v[i] : b.v[i]; });
  }
  static F32x16 min(F32x16 a, F32x16 b) {
    return map([&](std::size_t i) { return a.v[i] < b.v[i] ? a.v[i] : b.v[i]; });
  }
  static F32x16 max_abs(F32x16 a, F32x16 b) {
    return map([&](std::size_t i) {
      const std::uint32_t x = float_bits(a.v[i]) & kMagnitudeBits;
      const std::uint32_t y = float_bits(b.v[i]) & kMagnitudeBits;
      return bits_float(x > y ? x : y);
    });
  }

  // Two factors, since 2^n itself need not be a float; the first product is exact (n / 2 is far from the
  // ends).
  [[nodiscard]] F32x16 times_pow2(F32x16 t) const {
    return map([&](std::size_t i) {
      const auto n = static_cast<std::int32_t>(float_bits(t.v[i]) - float_bits(kRoundingMagic));
      const std::int32_t half = n >> 1;
      const auto factor = [](std::uint32_t e) { return bits_float((e + 127) << 23); };
      return v[i] * factor(static_cast<std::uint32_t>(half)) *
             factor(static_cast<std::uint32_t>(n) - static_cast<std::uint32_t>(half));
    });
  }

  template <std::size_t stride>
  [[nodiscard]] F32x16 butterfly() const {
    return map(
        [&](std::size_t i) { return (i & stride) == 0 ? v[i] + v[i + stride] : v[i - stride] - v[i]; });
  }

  [[nodiscard]] float sum() const {
    F32x16 t = *this;
    for (std::size_t half = kLanes / 2; half > 0; half /= 2) {
      for (std::size_t i = 0; i < half; ++i) t.v[i] = t.v[i] + t.v[i + half];
    }
    return t.v[0];
  }
  static void sums(const F32x16* four, float* out) {
    for (std::size_t i = 0; i < 4; ++i) out[i] = four[i].sum();
  }
  [[nodiscard]] float maximum() const {
    F32x16 t = *this;
    for (std::size_t half = kLanes / 2; half > 0; half /= 2) {
      for (std::size_t i = 0; i < half; ++i) t.v[i] = t.v[i] > t.v[i + half] ? t.v[i] : t.v[i + half];
    }
    return t.v[0];
  }
};

// Products of int8 (lanes.h), sixteen at once.
template <>
struct LaneOps<Isa::scalar> {
  using Bytes = const std::int8_t*;
  using Totals = std::int32_t;
  using Factor = std::int8_t;
  static constexpr std::size_t kBytes = 16;
  static constexpr std::int32_t kOffset = 0;
  static Totals first_totals(std::int32_t n) { return n; }
  static Bytes load_bytes(const std::int8_t* p) { return p; }
  static Totals add_products(Totals totals, Bytes x, const Factor* y) {
    for (std::size_t i = 0; i < kBytes; ++i) totals += x[i] * y[i];
    return totals;
  }
  static void store_totals(const Totals* t, std::int32_t* out) { __builtin_memcpy(out, t, 4 * sizeof *t); }
};

}  // namespace sterna::kernels
