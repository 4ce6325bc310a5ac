// OpenBLAS on one thread: work is shared out by our own pool, and a product's bits must not depend on how
// many threads there are.
#pragma once

#include <cstddef>

namespace sterna::runtime::blas {

enum class Form : bool { plain, transposed };

// A row-major matrix, or its transpose; `stride` is the distance of two rows as stored.
struct Operand {
  const float* data = nullptr;
  std::size_t stride = 0;
  Form form = Form::plain;
};

// c [m, n] = alpha a [m, k] b [k, n] + beta c, where m and n are those of the operands after transposition.
void multiply(std::size_t m, std::size_t n, std::size_t k, float alpha, const Operand& a, const Operand& b,
              float beta, float* c, std::size_t c_stride);

// Must have been called before any other function of BLAS or LAPACK is.
void use_one_thread();

}  // namespace sterna::runtime::blas
