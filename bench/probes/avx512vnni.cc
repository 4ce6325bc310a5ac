#include "bench/probes/loops.h"
#include "bench/probes/x86_512.h"

namespace sterna::bench {
namespace {

struct V : Registers512<kernels::Isa::avx512vnni> {
  static constexpr std::size_t kLaneProducts = 4;
  static constexpr std::uint32_t kSumsMask = 0xFFFFFFFF;
  static R add(R a, R b) { return _mm512_add_epi32(a, b); }
  static R step(R sum, R w, R x) { return _mm512_dpbusd_epi32(sum, w, x); }
};

}  // namespace

const Probe kAvx512VnniProbe = make_probe<V>(kernels::Isa::avx512vnni, "vpdpbusd zmm");

}  // namespace sterna::bench
