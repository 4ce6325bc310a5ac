#include "kernels/lanes/neon.h"

#include "kernels/add/generic.h"

template void sterna::kernels::add<sterna::kernels::Isa::neon>(const float*, std::size_t, float*);
