#include "bench/probes/loops.h"
#include "bench/probes/x86_256.h"

namespace sterna::bench {
namespace {

struct V : Registers256<kernels::Isa::avxvnni> {
  static constexpr std::size_t kLaneProducts = 4;
  static constexpr std::uint32_t kSumsMask = 0xFFFFFFFF;
  static R add(R a, R b) { return _mm256_add_epi32(a, b); }
  static R step(R sum, R w, R x) { return _mm256_dpbusd_avx_epi32(sum, w, x); }
};

}  // namespace

const Probe kAvxVnniProbe = make_probe<V>(kernels::Isa::avxvnni, "vpdpbusd ymm");

}  // namespace sterna::bench
