// The lanes in four 128-bit registers.
#pragma once

#include <arm_neon.h>

#include "kernels/lanes/simd.h"

namespace sterna::kernels {

template <>
struct XsimdArch<Isa::neon> {
  using type = xsimd::neon64;
};

using F32x16Neon = F32x16<Isa::neon>;

template <>
inline F32x16Neon F32x16Neon::load_f16(const Float16Bits* p) {
  return map([=](std::size_t i) { return Batch(vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p + 4 * i)))); });
}

template <>
inline F32x16Neon F32x16Neon::load_bf16(const BFloat16Bits* p) {
  return map(
      [=](std::size_t i) { return Batch(vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p + 4 * i), 16))); });
}

template <>
inline F32x16Neon F32x16Neon::load_i8(const std::int8_t* p) {
  const int8x16_t bytes = vld1q_s8(p);
  const int16x8_t low = vmovl_s8(vget_low_s8(bytes));
  const int16x8_t high = vmovl_s8(vget_high_s8(bytes));
  return {{vcvtq_f32_s32(vmovl_s16(vget_low_s16(low))), vcvtq_f32_s32(vmovl_s16(vget_high_s16(low))),
           vcvtq_f32_s32(vmovl_s16(vget_low_s16(high))), vcvtq_f32_s32(vmovl_s16(vget_high_s16(high)))}};
}

template <>
inline F32x16Neon F32x16Neon::load_i32(const std::int32_t* p) {
  return map([=](std::size_t i) { return Batch(vcvtq_f32_s32(vld1q_s32(p + 4 * i))); });
}

template <>
inline void F32x16Neon::store_f16(Float16Bits* p) const {
  unrolled<kBatches>([&](auto i) { vst1_u16(p + 4 * i, vreinterpret_u16_f16(vcvt_f16_f32(v[i]))); });
}

template <>
inline void F32x16Neon::store_i8(std::int8_t* p) const {
  const int16x8_t low = vcombine_s16(vqmovn_s32(vcvtnq_s32_f32(v[0])), vqmovn_s32(vcvtnq_s32_f32(v[1])));
  const int16x8_t high = vcombine_s16(vqmovn_s32(vcvtnq_s32_f32(v[2])), vqmovn_s32(vcvtnq_s32_f32(v[3])));
  vst1q_s8(p, vcombine_s8(vqmovn_s16(low), vqmovn_s16(high)));
}

template <>
inline F32x16Neon F32x16Neon::times_pow2(F32x16 t) const {
  const int32x4_t bias = vdupq_n_s32(127);
  const int32x4_t magic = vreinterpretq_s32_f32(vdupq_n_f32(kRoundingMagic));
  return map([&](std::size_t i) {
    const int32x4_t n = vsubq_s32(vreinterpretq_s32_f32(t.v[i]), magic);
    const int32x4_t half = vshrq_n_s32(n, 1);
    const int32x4_t rest = vsubq_s32(n, half);
    return v[i] * Batch(vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(half, bias), 23))) *
           Batch(vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(rest, bias), 23)));
  });
}

template <>
inline float F32x16Neon::sum() const {
  const float32x4_t four = vaddq_f32(vaddq_f32(v[0], v[2]), vaddq_f32(v[1], v[3]));
  const float32x2_t two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
  return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
}

template <>
inline float F32x16Neon::maximum() const {  // vmaxq would keep a NaN, so compare and select
  const F32x16Neon eight = max(*this, {{v[2], v[3], v[2], v[3]}});
  const F32x16Neon four = max(eight, {{eight.v[1], eight.v[1], eight.v[1], eight.v[1]}});
  float m[4];
  four.v[0].store_unaligned(m);
  const float even = m[0] > m[2] ? m[0] : m[2];
  const float odd = m[1] > m[3] ? m[1] : m[3];
  return even > odd ? even : odd;
}

}  // namespace sterna::kernels
