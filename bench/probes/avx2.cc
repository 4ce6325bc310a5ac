#include "bench/probes/loops.h"
#include "bench/probes/x86_256.h"

namespace sterna::bench {
namespace {

struct V : Registers256<kernels::Isa::avx2> {
  static constexpr std::size_t kLaneProducts = 2;
  static constexpr std::uint32_t kSumsMask = 0xFFFF;
  static R add(R a, R b) { return _mm256_add_epi16(a, b); }
  static R step(R sum, R w, R x) { return add(sum, _mm256_maddubs_epi16(w, x)); }
};

}  // namespace

const Probe kAvx2Probe = make_probe<V>(kernels::Isa::avx2, "vpmaddubsw + vpaddw ymm");

}  // namespace sterna::bench
