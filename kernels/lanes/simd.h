// The lanes as xsimd batches: arithmetic for every instruction set at once. avx2.h, avx512.h and neon.h name
// the architecture and add what xsimd has no stable name for (conversions, bit tricks, trees).
#pragma once

#include <xsimd/xsimd.hpp>

#include "kernels/lanes/lanes.h"

namespace sterna::kernels {

template <Isa isa>
struct XsimdArch;

template <Isa isa>
struct F32x16 {
  using Batch = xsimd::batch<float, typename XsimdArch<isa>::type>;
  using Register = typename Batch::register_type;
  static constexpr std::size_t kBatches = kLanes / Batch::size;
  static constexpr std::size_t kRegisters = kBatches;

  Batch v[kBatches];

  template <class Lane>
  [[gnu::always_inline]] static F32x16 map(Lane lane) {
    F32x16 r;
    unrolled<kBatches>([&](auto i) __attribute__((always_inline)) { r.v[i] = lane(i); });
    return r;
  }

  static F32x16 broadcast(float x) {
    return map([=](std::size_t) { return Batch(x); });
  }
  static F32x16 zero() { return broadcast(0.0f); }
  static F32x16 load(const float* p) {
    return map([=](std::size_t i) { return Batch::load_unaligned(p + i * Batch::size); });
  }
  void store(float* p) const {
    unrolled<kBatches>([&](auto i) { v[i].store_unaligned(p + i * Batch::size); });
  }

  static F32x16 load_f16(const Float16Bits* p) { return LaneOps<isa>::load_f16(p); }
  static F32x16 load_bf16(const BFloat16Bits* p) { return LaneOps<isa>::load_bf16(p); }
  static F32x16 load_i8(const std::int8_t* p) { return LaneOps<isa>::load_i8(p); }
  static F32x16 load_i32(const std::int32_t* p) { return LaneOps<isa>::load_i32(p); }
  void store_f16(Float16Bits* p) const { LaneOps<isa>::store_f16(*this, p); }
  void store_i8(std::int8_t* p) const { LaneOps<isa>::store_i8(*this, p); }

  friend F32x16 operator+(F32x16 a, F32x16 b) {
    return map([&](std::size_t i) { return a.v[i] + b.v[i]; });
  }
  friend F32x16 operator-(F32x16 a, F32x16 b) {
    return map([&](std::size_t i) { return a.v[i] - b.v[i]; });
  }
  friend F32x16 operator*(F32x16 a, F32x16 b) {
    return map([&](std::size_t i) { return a.v[i] * b.v[i]; });
  }
  // The compilers' own vector division: xsimd 8 multiplies by an estimated reciprocal on NEON, 1 unit off.
  friend F32x16 operator/(F32x16 a, F32x16 b) {
    return map([&](std::size_t i) { return Batch(Register(a.v[i]) / Register(b.v[i])); });
  }
  // Not xsimd::max: what that does with a NaN differs between instruction sets.
  static F32x16 max(F32x16 a, F32x16 b) {
    return map([&](std::size_t i) { return xsimd::select(a.v[i] > b.v[i], a.v[i], b.v[i]); });
  }
  static F32x16 min(F32x16 a, F32x16 b) {
    return map([&](std::size_t i) { return xsimd::select(a.v[i] < b.v[i], a.v[i], b.v[i]); });
  }
  static F32x16 max_abs(F32x16 a, F32x16 b) { return LaneOps<isa>::max_abs(a, b); }

  [[nodiscard]] F32x16 times_pow2(F32x16 t) const { return LaneOps<isa>::times_pow2(*this, t); }
  template <std::size_t stride>
  [[nodiscard]] F32x16 butterfly() const {
    return LaneOps<isa>::template butterfly<stride>(*this);
  }
  [[nodiscard]] float sum() const { return LaneOps<isa>::sum(*this); }
  static void sums(const F32x16* four, float* out) { LaneOps<isa>::sums(four, out); }
  [[nodiscard]] float maximum() const { return LaneOps<isa>::maximum(*this); }
};

}  // namespace sterna::kernels
