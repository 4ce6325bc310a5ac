#include "kernels/lanes/avx2.h"

#include "kernels/ternary_matmul/half_shift.h"
#include "kernels/ternary_matmul/vector256.h"

namespace sterna::kernels {

// 16 registers: 4 tokens are 8 accumulators, beside 4 fields.
template <>
struct TernaryTiles<Isa::avx2> : HalfShift<Vector256<Isa::avx2>> {
  template <class C>
  static constexpr std::size_t kBlocks = 1;
  template <class C>
  using Tokens = TokenSteps<1>;
  static constexpr std::size_t kStripBlocks = 1;
  using StripTokens = TokenSteps<4, 2, 1>;
};

template void ternary_matmul<Isa::avx2>(const TernaryView&, const QuantizedView&, std::size_t, std::size_t,
                                        float*, std::size_t);
template void ternary_dot<Isa::avx2>(const TernaryView&, const QuantizedView&, std::size_t, std::size_t,
                                     std::int32_t*, std::size_t);

}  // namespace sterna::kernels
