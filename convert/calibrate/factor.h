// The factorisation of a damped second moment that GPTQ needs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "runtime/result.h"

namespace sterna::convert {

struct Factor {
  std::size_t columns = 0;
  double damping = 0.0;              // what was added to the diagonal, as a share of its mean
  std::vector<float> damped;         // [n, n] Hd = H + damping mean(diag H) I
  std::vector<float> inverse;        // [n, n] of Hd
  std::vector<std::uint32_t> order;  // columns by falling diag H, ties by index (GPTQ's "act order")
  std::vector<float> upper;          // [n, n] U, upper: U^T U = inverse, rows and columns in that order
};

inline constexpr double kDamping = 0.01;

// h [n, n] symmetric and finite. Damping is multiplied by 10 until Hd can be factorised; a matrix of zeros
// counts as the identity. An error only if that does not help, which no finite matrix does.
// Without act_order the columns stay in their order.
Result<Factor> factorise(std::span<const float> h, std::size_t columns, bool act_order = true,
                         double damping = kDamping);

}  // namespace sterna::convert
