#include "kernels/lanes/neon.h"

#include "kernels/rope/generic.h"

template void sterna::kernels::rope<sterna::kernels::Isa::neon>(float*, std::size_t, std::size_t,
                                                                const float*, const float*);
