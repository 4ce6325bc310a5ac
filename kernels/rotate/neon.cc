#include "kernels/lanes/neon.h"

#include "kernels/rotate/generic.h"

template void sterna::kernels::rotate<sterna::kernels::Isa::neon>(const float*, const float*, std::size_t,
                                                                  std::size_t, float*);
