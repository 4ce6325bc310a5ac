#include "kernels/lanes/avx512.h"

#include "kernels/rotate/generic.h"

template void sterna::kernels::rotate<sterna::kernels::Isa::avx512>(const float*, const float*, std::size_t,
                                                                    std::size_t, float*);
