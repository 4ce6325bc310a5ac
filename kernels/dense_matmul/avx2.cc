#include "kernels/lanes/avx2.h"

#include "kernels/dense_matmul/generic.h"

template void sterna::kernels::dense_matmul<sterna::kernels::Isa::avx2>(const DenseView&, const float*,
                                                                        std::size_t, std::size_t, std::size_t,
                                                                        std::size_t, float*, std::size_t);
