#include "kernels/lanes/scalar.h"

#include "kernels/rms_norm/generic.h"

template void sterna::kernels::rms_norm<sterna::kernels::Isa::scalar>(const float*, const float*, std::size_t,
                                                                      float, float*);
