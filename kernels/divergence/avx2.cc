#include "kernels/lanes/avx2.h"

#include "kernels/divergence/generic.h"

template sterna::kernels::SoftmaxTotal sterna::kernels::softmax_total<sterna::kernels::Isa::avx2>(
    const float*, std::size_t);
template double sterna::kernels::divergence_sum<sterna::kernels::Isa::avx2>(const float*, float, const float*,
                                                                            float, std::size_t);
