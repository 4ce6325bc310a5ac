#include "kernels/lanes/avxvnni.h"

#include "kernels/screen/generic.h"
#include "kernels/split_row/ops_avx2.h"

namespace sterna::kernels {

template <>
struct SplitOps<Isa::avxvnni> : SplitOps256<Isa::avxvnni> {};

template <>
struct ScreenOps<Isa::avxvnni> {
  using Codes = SplitCodes<Isa::avxvnni>;
  static __m256i multiply(__m256i totals, const Codes::Bytes (&u)[Codes::kVectors], const std::int8_t* x) {
    unrolled<Codes::kVectors>([&](auto i) __attribute__((always_inline)) {
      totals = _mm256_dpbusd_avx_epi32(totals, reinterpret_cast<__m256i>(u[i]),
                                       _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x + 32 * i)));
    });
    return totals;
  }
};

template void screen<Isa::avxvnni>(const SplitView&, const std::uint8_t*, const ScreenInput&, std::size_t,
                                   std::size_t, float*, float*);
template void screen_plane<Isa::avxvnni>(const std::uint8_t*, std::size_t, const ScreenInput&, std::size_t,
                                         ScreenRow, float*, float*);

}  // namespace sterna::kernels
