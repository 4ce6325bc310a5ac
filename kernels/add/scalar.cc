#include "kernels/lanes/scalar.h"

#include "kernels/add/generic.h"

template void sterna::kernels::add<sterna::kernels::Isa::scalar>(const float*, std::size_t, float*);
