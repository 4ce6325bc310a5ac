#include "kernels/lanes/avx2.h"

#include "kernels/add/generic.h"

template void sterna::kernels::add<sterna::kernels::Isa::avx2>(const float*, std::size_t, float*);
