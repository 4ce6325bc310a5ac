#include "kernels/lanes/avx512.h"

#include "kernels/rms_norm/generic.h"

template void sterna::kernels::rms_norm<sterna::kernels::Isa::avx512>(const float*, const float*, std::size_t,
                                                                      float, float*);
