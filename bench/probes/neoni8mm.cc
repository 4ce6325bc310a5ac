#include "bench/probes/loops.h"
#include "bench/probes/neon.h"

namespace sterna::bench {
namespace {

struct V : NeonRegisters32<kernels::Isa::neoni8mm> {
  static constexpr std::size_t kStepProducts = 32;
  static constexpr std::size_t kLaneProducts = 8;
  static R step(R sum, R w, R x) { return vmmlaq_s32(sum, vreinterpretq_s8_s32(w), vreinterpretq_s8_s32(x)); }
};

}  // namespace

const Probe kNeonI8mmProbe = make_probe<V>(kernels::Isa::neoni8mm, "smmla");

}  // namespace sterna::bench
