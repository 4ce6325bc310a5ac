#include "bench/probes/neon.h"

#include "bench/probes/loops.h"

namespace sterna::bench {
namespace {

struct V : NeonRegisters<kernels::Isa::neon> {
  using R = int16x8_t;
  static constexpr std::size_t kStepProducts = 8;
  static constexpr std::size_t kLaneProducts = 1;
  static constexpr std::uint32_t kSumsMask = 0xFFFF;
  static R zero() { return vdupq_n_s16(0); }
  static R ones8() { return vreinterpretq_s16_s8(vdupq_n_s8(1)); }
  static void hide(R& r) { asm volatile("" : "+w"(r)); }
  static R add(R a, R b) { return vaddq_s16(a, b); }
  static R step(R sum, R w, R x) {
    return vmlal_s8(sum, vget_low_s8(vreinterpretq_s8_s16(w)), vget_low_s8(vreinterpretq_s8_s16(x)));
  }
  static std::uint32_t first(R r) { return static_cast<std::uint16_t>(vgetq_lane_s16(r, 0)); }
};

}  // namespace

const Probe kNeonProbe = make_probe<V>(kernels::Isa::neon, "smlal");

}  // namespace sterna::bench
