#pragma once

#include "kernels/isa.h"

namespace sterna::kernels {

// d[0 ..) += weight * x, weight 1, 3 or 9, on x86.
template <class V, std::int32_t weight>
[[gnu::always_inline]] inline void add_to(std::int32_t* d, typename V::R x) {
  if constexpr (weight == 3) x = V::add32(x, V::template left32<1>(x));
  if constexpr (weight == 9) x = V::add32(x, V::template left32<3>(x));
  V::store(d, V::add32(V::load(d), x));
}

}  // namespace sterna::kernels
