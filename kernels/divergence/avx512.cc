#include "kernels/lanes/avx512.h"

#include "kernels/divergence/generic.h"

template sterna::kernels::SoftmaxTotal sterna::kernels::softmax_total<sterna::kernels::Isa::avx512>(
    const float*, std::size_t);
template double sterna::kernels::divergence_sum<sterna::kernels::Isa::avx512>(const float*, float,
                                                                              const float*, float,
                                                                              std::size_t);
