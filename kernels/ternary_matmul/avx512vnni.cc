#include "kernels/lanes/avx512vnni.h"

#include <type_traits>

#include "kernels/ternary_matmul/vector512.h"
#include "kernels/ternary_matmul/vnni.h"

namespace sterna::kernels {

// 32 registers: 24 accumulators, beside 4 fields.
template <>
struct TernaryTiles<Isa::avx512vnni> : VnniTiles<Vector512<Isa::avx512vnni>, 3> {
  template <class C>
  static constexpr std::size_t kBlocks = C::kPlanes == 1 || C::kForm == CodeForm::pairs ? 2 : 1;
  template <class C>
  using Tokens = TokenSteps<1>;
  static constexpr std::size_t kStripBlocks = 2;
  using StripTokens = TokenSteps<12, 8, 4, 2, 1>;
};

template void ternary_matmul<Isa::avx512vnni>(const TernaryView&, const QuantizedView&, std::size_t,
                                              std::size_t, float*, std::size_t);
template void ternary_dot<Isa::avx512vnni>(const TernaryView&, const QuantizedView&, std::size_t, std::size_t,
                                           std::int32_t*, std::size_t);

}  // namespace sterna::kernels
