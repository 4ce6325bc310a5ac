// exp on lanes, one polynomial for every instruction set.
//
// x = n ln 2 + r with |r| <= 0.3467, exp(x) = 2^n (1 + r + r^2 q(r)). q is the minimax fit of degree 4 to
// the relative error of exp, 3.1e-9. n ln 2 is subtracted in two parts, the first of 9 bits so that its
// product is exact. With the roundings the result is within 1.27 * 2^-24 of exp(x), measured over 4
// million arguments; the test holds it to 2 * 2^-24. exp(x) = 0 from x < -103.98 down, subnormal results
// as they should be, inf from x > 88.73 up, NaN stays NaN.
#pragma once

#include "kernels/lanes/lanes.h"

namespace sterna::kernels {

template <Isa isa>
[[gnu::always_inline]] inline F32x16<isa> exp(F32x16<isa> x) {
  using F = F32x16<isa>;
  const auto constant = [](float c) { return F::broadcast(c); };
  const F magic = constant(kRoundingMagic);
  // Beyond these ends the result is 0 or inf anyway; x comes second so that a NaN is kept.
  const F clamped = F::min(constant(89.0f), F::max(constant(-104.0f), x));
  const F t = clamped * constant(1.44269504f) + magic;
  const F n = t - magic;
  const F r = (clamped - n * constant(0.693359375f)) - n * constant(-2.12194440e-4f);
  F q = constant(0x1.6a2402p-10f);
  q = q * r + constant(0x1.123a02p-7f);
  q = q * r + constant(0x1.5558f2p-5f);
  q = q * r + constant(0x1.555492p-3f);
  q = q * r + constant(0x1.fffffcp-2f);
  const F e = (q * (r * r) + r) + constant(1.0f);
  return e.times_pow2(t);
}

}  // namespace sterna::kernels
