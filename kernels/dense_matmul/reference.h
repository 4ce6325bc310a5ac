// The oracle for tests, in double precision, with the sum of magnitudes that error bounds are made of.
#pragma once

#include "kernels/dense_row/reference.h"

namespace sterna::kernels {

struct ReferenceSum {
  double value = 0;
  double magnitude = 0;  // sum of |w x|
};

inline ReferenceSum reference_dense(const DenseView& w, const float* x, std::size_t row) {
  ReferenceSum sum;
  for (std::size_t c = 0; c < w.columns; ++c) {
    const double product = reference_weight(w, row, c) * x[c];
    sum.value += product;
    sum.magnitude += std::fabs(product);
  }
  return sum;
}

}  // namespace sterna::kernels
