#include "kernels/lanes/avx512vnni.h"

#include "kernels/screen/generic.h"
#include "kernels/split_row/ops_avx512.h"

namespace sterna::kernels {

template <>
struct SplitOps<Isa::avx512vnni> : SplitOps512<Isa::avx512vnni> {};

template <>
struct ScreenOps<Isa::avx512vnni> {
  using Codes = SplitCodes<Isa::avx512vnni>;
  static __m512i multiply(__m512i totals, const Codes::Bytes (&u)[Codes::kVectors], const std::int8_t* x) {
    totals = _mm512_dpbusd_epi32(totals, reinterpret_cast<__m512i>(u[0]), _mm512_loadu_si512(x));
    return _mm512_dpbusd_epi32(totals, reinterpret_cast<__m512i>(u[1]), _mm512_loadu_si512(x + 64));
  }
};

template void screen<Isa::avx512vnni>(const SplitView&, const std::uint8_t*, const ScreenInput&, std::size_t,
                                      std::size_t, float*, float*);
template void screen_plane<Isa::avx512vnni>(const std::uint8_t*, std::size_t, const ScreenInput&, std::size_t,
                                            ScreenRow, float*, float*);

}  // namespace sterna::kernels
