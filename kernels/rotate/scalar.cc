#include "kernels/lanes/scalar.h"

#include "kernels/rotate/generic.h"

template void sterna::kernels::rotate<sterna::kernels::Isa::scalar>(const float*, const float*, std::size_t,
                                                                    std::size_t, float*);
