#include "kernels/lanes/avx512.h"

#include "kernels/ternary_matmul/half_shift.h"
#include "kernels/ternary_matmul/vector512.h"

namespace sterna::kernels {

// 32 registers: 8 tokens are 16 accumulators (24 with three planes), beside 4 fields.
template <>
struct TernaryTiles<Isa::avx512> : HalfShift<Vector512<Isa::avx512>> {
  template <class C>
  static constexpr std::size_t kBlocks = C::kTwoBits ? 2 : 1;
  template <class C>
  using Tokens = TokenSteps<1>;
  static constexpr std::size_t kStripBlocks = 2;
  using StripTokens = TokenSteps<8, 4, 2, 1>;
};

template void ternary_matmul<Isa::avx512>(const TernaryView&, const QuantizedView&, std::size_t, std::size_t,
                                          float*, std::size_t);
template void ternary_dot<Isa::avx512>(const TernaryView&, const QuantizedView&, std::size_t, std::size_t,
                                       std::int32_t*, std::size_t);

}  // namespace sterna::kernels
