#include "kernels/lanes/avx2.h"

#include "kernels/rotate/generic.h"

template void sterna::kernels::rotate<sterna::kernels::Isa::avx2>(const float*, const float*, std::size_t,
                                                                  std::size_t, float*);
