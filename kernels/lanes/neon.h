// The lanes in four 128-bit registers.
#pragma once

#include <arm_neon.h>

#include "kernels/lanes/simd.h"

namespace sterna::kernels {

template <>
struct XsimdArch<Isa::neon> {
  using type = xsimd::neon64;
};

template <Isa isa>
struct NeonLaneOps {
  using F = F32x16<isa>;
  using Batch = typename F::Batch;

  static F load_f16(const Float16Bits* p) {
    return F::map(
        [=](std::size_t i) { return Batch(vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p + 4 * i)))); });
  }

  static F load_bf16(const BFloat16Bits* p) {
    return F::map(
        [=](std::size_t i) { return Batch(vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p + 4 * i), 16))); });
  }

  static F load_i8(const std::int8_t* p) {
    const int8x16_t bytes = vld1q_s8(p);
    const int16x8_t low = vmovl_s8(vget_low_s8(bytes));
    const int16x8_t high = vmovl_s8(vget_high_s8(bytes));
    return {{vcvtq_f32_s32(vmovl_s16(vget_low_s16(low))), vcvtq_f32_s32(vmovl_s16(vget_high_s16(low))),
             vcvtq_f32_s32(vmovl_s16(vget_low_s16(high))), vcvtq_f32_s32(vmovl_s16(vget_high_s16(high)))}};
  }

  static F load_i32(const std::int32_t* p) {
    return F::map([=](std::size_t i) { return Batch(vcvtq_f32_s32(vld1q_s32(p + 4 * i))); });
  }

  static void store_f16(const F& x, Float16Bits* p) {
    unrolled<F::kBatches>([&](auto i) { vst1_u16(p + 4 * i, vreinterpret_u16_f16(vcvt_f16_f32(x.v[i]))); });
  }

  static void store_i8(const F& x, std::int8_t* p) {
    const int16x8_t low =
        vcombine_s16(vqmovn_s32(vcvtnq_s32_f32(x.v[0])), vqmovn_s32(vcvtnq_s32_f32(x.v[1])));
    const int16x8_t high =
        vcombine_s16(vqmovn_s32(vcvtnq_s32_f32(x.v[2])), vqmovn_s32(vcvtnq_s32_f32(x.v[3])));
    vst1q_s8(p, vcombine_s8(vqmovn_s16(low), vqmovn_s16(high)));
  }

  static F max_abs(const F& x, const F& y) {
    const auto bits = [](float32x4_t v) { return vreinterpretq_u32_f32(vabsq_f32(v)); };
    return F::map(
        [&](std::size_t i) { return Batch(vreinterpretq_f32_u32(vmaxq_u32(bits(x.v[i]), bits(y.v[i])))); });
  }

  static F times_pow2(const F& x, const F& t) {
    const int32x4_t bias = vdupq_n_s32(127);
    const int32x4_t magic = vreinterpretq_s32_f32(vdupq_n_f32(kRoundingMagic));
    return F::map([&](std::size_t i) {
      const int32x4_t n = vsubq_s32(vreinterpretq_s32_f32(t.v[i]), magic);
      const int32x4_t half = vshrq_n_s32(n, 1);
      const int32x4_t rest = vsubq_s32(n, half);
      return x.v[i] * Batch(vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(half, bias), 23))) *
             Batch(vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(rest, bias), 23)));
    });
  }

  template <std::size_t stride>
  static F butterfly(const F& x) {
    if constexpr (stride >= 4) {
      constexpr std::size_t kStep = stride / 4;
      return F::map([&](std::size_t i) {
        return (i & kStep) == 0 ? x.v[i] + x.v[i + kStep] : x.v[i - kStep] - x.v[i];
      });
    } else {
      // The upper of two lanes adds its negative to the other: a - b, with the same rounding.
      constexpr std::uint32_t kSign = 0x80000000U;
      const std::uint32_t signs[4] = {0, stride == 1 ? kSign : 0, stride == 1 ? 0 : kSign, kSign};
      const uint32x4_t upper = vld1q_u32(signs);
      return F::map([&](std::size_t i) {
        const float32x4_t y = x.v[i];
        const float32x4_t other = stride == 2 ? vextq_f32(y, y, 2) : vrev64q_f32(y);
        return Batch(vaddq_f32(other, vreinterpretq_f32_u32(veorq_u32(vreinterpretq_u32_f32(y), upper))));
      });
    }
  }

  static float sum(const F& x) {
    const float32x4_t four = vaddq_f32(vaddq_f32(x.v[0], x.v[2]), vaddq_f32(x.v[1], x.v[3]));
    const float32x2_t two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
    return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
  }

  static void sums(const F* x, float* out) {
    const auto two = [](const F& y, const F& z) {  // two lanes of each
      const float32x4_t a = vaddq_f32(vaddq_f32(y.v[0], y.v[2]), vaddq_f32(y.v[1], y.v[3]));
      const float32x4_t b = vaddq_f32(vaddq_f32(z.v[0], z.v[2]), vaddq_f32(z.v[1], z.v[3]));
      return vaddq_f32(vcombine_f32(vget_low_f32(a), vget_low_f32(b)),
                       vcombine_f32(vget_high_f32(a), vget_high_f32(b)));
    };
    vst1q_f32(out, vpaddq_f32(two(x[0], x[1]), two(x[2], x[3])));
  }

  // Two products of int8 fit in int16: 2 * 127 * 127 = 32258.
  using Bytes = int8x16_t;
  using Totals = int32x4_t;
  using Factor = std::int8_t;
  static constexpr std::size_t kBytes = 16;
  static constexpr std::int32_t kOffset = 0;
  static Totals first_totals(std::int32_t n) { return vsetq_lane_s32(n, vdupq_n_s32(0), 0); }
  static Bytes load_bytes(const std::int8_t* p) { return vld1q_s8(p); }
  static Totals add_products(Totals totals, Bytes x, const Factor* y) {
    const int8x16_t factors = vld1q_s8(y);
    const int16x8_t low = vmull_s8(vget_low_s8(x), vget_low_s8(factors));
    return vpadalq_s16(totals, vmlal_s8(low, vget_high_s8(x), vget_high_s8(factors)));
  }
  static void store_totals(const Totals* t, std::int32_t* out) {
    vst1q_s32(out, vpaddq_s32(vpaddq_s32(t[0], t[1]), vpaddq_s32(t[2], t[3])));
  }

  static float maximum(const F& x) {  // vmaxq would keep a NaN, so compare and select
    const F eight = F::max(x, {{x.v[2], x.v[3], x.v[2], x.v[3]}});
    const F four = F::max(eight, {{eight.v[1], eight.v[1], eight.v[1], eight.v[1]}});
    float m[4];
    four.v[0].store_unaligned(m);
    const float even = m[0] > m[2] ? m[0] : m[2];
    const float odd = m[1] > m[3] ? m[1] : m[3];
    return even > odd ? even : odd;
  }
};

template <>
struct LaneOps<Isa::neon> : NeonLaneOps<Isa::neon> {};

}  // namespace sterna::kernels
