#include "kernels/lanes/avx512.h"

#include "kernels/add/generic.h"

template void sterna::kernels::add<sterna::kernels::Isa::avx512>(const float*, std::size_t, float*);
