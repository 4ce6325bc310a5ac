#include "kernels/lanes/avx2.h"

#include "kernels/softmax/generic.h"

template void sterna::kernels::softmax<sterna::kernels::Isa::avx2>(const float*, std::size_t, float*);
