#include "kernels/lanes/neon.h"

#include "kernels/softmax/generic.h"

template void sterna::kernels::softmax<sterna::kernels::Isa::neon>(const float*, std::size_t, float*);
