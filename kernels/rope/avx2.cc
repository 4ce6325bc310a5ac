#include "kernels/lanes/avx2.h"

#include "kernels/rope/generic.h"

template void sterna::kernels::rope<sterna::kernels::Isa::avx2>(float*, std::size_t, std::size_t,
                                                                const float*, const float*);
