#include "kernels/lanes/neondot.h"

#include "kernels/ternary_matmul/neon_dot.h"

namespace sterna::kernels {

template <>
struct TernaryTiles<Isa::neondot> : NeonDotTiles<Isa::neondot> {
  template <class C>
  static constexpr std::size_t kBlocks = 1;
  template <class C>
  using Tokens = TokenSteps<8, 4, 2, 1>;
};

template void ternary_matmul<Isa::neondot>(const TernaryView&, const QuantizedView&, std::size_t, std::size_t,
                                           float*, std::size_t);
template void ternary_dot<Isa::neondot>(const TernaryView&, const QuantizedView&, std::size_t, std::size_t,
                                        std::int32_t*, std::size_t);

}  // namespace sterna::kernels
