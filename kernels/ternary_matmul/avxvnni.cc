#include "kernels/lanes/avxvnni.h"

#include "kernels/ternary_matmul/vector256.h"
#include "kernels/ternary_matmul/vnni.h"

namespace sterna::kernels {

// 16 registers: 8 accumulators, beside 4 fields.
template <>
struct TernaryTiles<Isa::avxvnni> : VnniTiles<Vector256<Isa::avxvnni>, 2> {
  template <class C>
  static constexpr std::size_t kBlocks = 1;
  template <class C>
  using Tokens = TokenSteps<1>;
  static constexpr std::size_t kStripBlocks = 1;
  using StripTokens = TokenSteps<6, 4, 2, 1>;
};

template void ternary_matmul<Isa::avxvnni>(const TernaryView&, const QuantizedView&, std::size_t, std::size_t,
                                           float*, std::size_t);
template void ternary_dot<Isa::avxvnni>(const TernaryView&, const QuantizedView&, std::size_t, std::size_t,
                                        std::int32_t*, std::size_t);

}  // namespace sterna::kernels
