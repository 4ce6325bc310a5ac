#include "kernels/lanes/avx512.h"

#include "kernels/gated_activation/generic.h"

template void sterna::kernels::gated_activation<sterna::kernels::Isa::avx512>(const float*, const float*,
                                                                              std::size_t, GateFunction,
                                                                              float*);
