#include "kernels/lanes/scalar.h"

#include "kernels/gated_activation/generic.h"

template void sterna::kernels::gated_activation<sterna::kernels::Isa::scalar>(const float*, const float*,
                                                                              std::size_t, GateFunction,
                                                                              float*);
