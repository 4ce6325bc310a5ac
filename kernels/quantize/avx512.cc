#include "kernels/lanes/avx512.h"

#include "kernels/quantize/generic.h"

template void sterna::kernels::quantize<sterna::kernels::Isa::avx512>(const float*, std::size_t, std::size_t,
                                                                      std::int8_t*, std::int32_t*, float*);
