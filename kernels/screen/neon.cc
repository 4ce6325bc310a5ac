#include "kernels/lanes/neon.h"

#include "kernels/screen/generic.h"

namespace sterna::kernels {

template <>
struct ScreenOps<Isa::neon> {
  using Codes = SplitCodes<Isa::neon>;
  static int32x4_t multiply(int32x4_t totals, const Codes::Bytes (&u)[Codes::kVectors],
                            const std::int8_t* x) {
    int16x8_t low = vdupq_n_s16(0);
    int16x8_t high = vdupq_n_s16(0);
    unrolled<Codes::kVectors>([&](auto i) __attribute__((always_inline)) {
      const auto codes = reinterpret_cast<int8x16_t>(u[i]);
      const int8x16_t factors = vld1q_s8(x + 16 * i);
      low = vmlal_s8(low, vget_low_s8(codes), vget_low_s8(factors));
      high = vmlal_high_s8(high, codes, factors);
    });
    return vpadalq_s16(vpadalq_s16(totals, low), high);
  }
};

template void screen<Isa::neon>(const SplitView&, const std::uint8_t*, const ScreenInput&, std::size_t,
                                std::size_t, float*, float*);
template void screen_plane<Isa::neon>(const std::uint8_t*, std::size_t, const ScreenInput&, std::size_t,
                                      ScreenRow, float*, float*);

}  // namespace sterna::kernels
