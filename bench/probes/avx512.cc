#include "bench/probes/loops.h"
#include "bench/probes/x86_512.h"

namespace sterna::bench {
namespace {

struct V : Registers512<kernels::Isa::avx512> {
  static constexpr std::size_t kLaneProducts = 2;
  static constexpr std::uint32_t kSumsMask = 0xFFFF;
  static R add(R a, R b) { return _mm512_add_epi16(a, b); }
  static R step(R sum, R w, R x) { return add(sum, _mm512_maddubs_epi16(w, x)); }
};

}  // namespace

const Probe kAvx512Probe = make_probe<V>(kernels::Isa::avx512, "vpmaddubsw + vpaddw zmm");

}  // namespace sterna::bench
