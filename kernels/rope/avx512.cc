#include "kernels/lanes/avx512.h"

#include "kernels/rope/generic.h"

template void sterna::kernels::rope<sterna::kernels::Isa::avx512>(float*, std::size_t, std::size_t,
                                                                  const float*, const float*);
