#include "kernels/lanes/neoni8mm.h"

#include "kernels/screen/generic.h"
#include "kernels/split_row/ops_neon.h"

namespace sterna::kernels {

template <>
struct SplitOps<Isa::neoni8mm> : SplitOps<Isa::neon> {};

template <>
struct ScreenOps<Isa::neoni8mm> {
  using Codes = SplitCodes<Isa::neoni8mm>;
  static int32x4_t multiply(int32x4_t totals, const Codes::Bytes (&u)[Codes::kVectors],
                            const std::int8_t* x) {
    unrolled<Codes::kVectors>([&](auto i) __attribute__((always_inline)) {
      totals = vdotq_s32(totals, reinterpret_cast<int8x16_t>(u[i]), vld1q_s8(x + 16 * i));
    });
    return totals;
  }
};

template void screen<Isa::neoni8mm>(const SplitView&, const std::uint8_t*, const ScreenInput&, std::size_t,
                                    std::size_t, float*, float*);
template void screen_plane<Isa::neoni8mm>(const std::uint8_t*, std::size_t, const ScreenInput&, std::size_t,
                                          ScreenRow, float*, float*);

}  // namespace sterna::kernels
