#include "kernels/lanes/avx512.h"

#include "kernels/softmax/generic.h"

template void sterna::kernels::softmax<sterna::kernels::Isa::avx512>(const float*, std::size_t, float*);
