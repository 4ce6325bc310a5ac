#include "kernels/lanes/avx512.h"

#include "kernels/dense_matmul/generic.h"

template void sterna::kernels::dense_matmul<sterna::kernels::Isa::avx512>(const DenseView&, const float*,
                                                                          std::size_t, std::size_t,
                                                                          std::size_t, std::size_t, float*,
                                                                          std::size_t);
