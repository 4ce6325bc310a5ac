#include "kernels/lanes/scalar.h"

#include "kernels/softmax/generic.h"

template void sterna::kernels::softmax<sterna::kernels::Isa::scalar>(const float*, std::size_t, float*);
