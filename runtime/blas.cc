#include "runtime/blas.h"

#include <cblas.h>

#include <mutex>

namespace sterna::runtime::blas {

void use_one_thread() {
  static std::once_flag once;
  std::call_once(once, [] { openblas_set_num_threads(1); });
}

void multiply(std::size_t m, std::size_t n, std::size_t k, float alpha, const Operand& a, const Operand& b,
              float beta, float* c, std::size_t c_stride) {
  use_one_thread();
  const auto form = [](const Operand& x) { return x.form == Form::transposed ? CblasTrans : CblasNoTrans; };
  const auto size = [](std::size_t n_elements) { return static_cast<blasint>(n_elements); };
  cblas_sgemm(CblasRowMajor, form(a), form(b), size(m), size(n), size(k), alpha, a.data, size(a.stride),
              b.data, size(b.stride), beta, c, size(c_stride));
}

}  // namespace sterna::runtime::blas
