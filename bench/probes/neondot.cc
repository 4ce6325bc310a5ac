#include "bench/probes/loops.h"
#include "bench/probes/neon.h"

namespace sterna::bench {
namespace {

struct V : NeonRegisters32<kernels::Isa::neondot> {
  static constexpr std::size_t kStepProducts = 16;
  static constexpr std::size_t kLaneProducts = 4;
  static R step(R sum, R w, R x) { return vdotq_s32(sum, vreinterpretq_s8_s32(w), vreinterpretq_s8_s32(x)); }
};

}  // namespace

const Probe kNeonDotProbe = make_probe<V>(kernels::Isa::neondot, "sdot");

}  // namespace sterna::bench
