#include "kernels/lanes/avx2.h"

#include "kernels/screen/generic.h"
#include "kernels/split_row/ops_avx2.h"

namespace sterna::kernels {

template <>
struct ScreenOps<Isa::avx2> {
  using Codes = SplitCodes<Isa::avx2>;
  static __m256i pairs(Codes::Bytes u, const std::int8_t* x) {
    return _mm256_maddubs_epi16(reinterpret_cast<__m256i>(u),
                                _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x)));
  }
  static __m256i multiply(__m256i totals, const Codes::Bytes (&u)[Codes::kVectors], const std::int8_t* x) {
    const __m256i left = _mm256_add_epi16(pairs(u[0], x), pairs(u[1], x + 32));
    const __m256i right = _mm256_add_epi16(pairs(u[2], x + 64), pairs(u[3], x + 96));
    const __m256i sums = _mm256_add_epi16(left, right);
    return _mm256_add_epi32(totals, _mm256_madd_epi16(sums, _mm256_set1_epi16(1)));
  }
};

template void screen<Isa::avx2>(const SplitView&, const std::uint8_t*, const ScreenInput&, std::size_t,
                                std::size_t, float*, float*);
template void screen_plane<Isa::avx2>(const std::uint8_t*, std::size_t, const ScreenInput&, std::size_t,
                                      ScreenRow, float*, float*);

}  // namespace sterna::kernels
