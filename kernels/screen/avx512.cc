#include "kernels/lanes/avx512.h"

#include "kernels/screen/generic.h"
#include "kernels/split_row/ops_avx512.h"

namespace sterna::kernels {

template <>
struct ScreenOps<Isa::avx512> {
  using Codes = SplitCodes<Isa::avx512>;
  static __m512i pairs(Codes::Bytes u, const std::int8_t* x) {
    return _mm512_maddubs_epi16(reinterpret_cast<__m512i>(u), _mm512_loadu_si512(x));
  }
  static __m512i multiply(__m512i totals, const Codes::Bytes (&u)[Codes::kVectors], const std::int8_t* x) {
    const __m512i sums = _mm512_add_epi16(pairs(u[0], x), pairs(u[1], x + 64));
    return _mm512_add_epi32(totals, _mm512_madd_epi16(sums, _mm512_set1_epi16(1)));
  }
};

template void screen<Isa::avx512>(const SplitView&, const std::uint8_t*, const ScreenInput&, std::size_t,
                                  std::size_t, float*, float*);
template void screen_plane<Isa::avx512>(const std::uint8_t*, std::size_t, const ScreenInput&, std::size_t,
                                        ScreenRow, float*, float*);

}  // namespace sterna::kernels
