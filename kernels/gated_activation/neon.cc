#include "kernels/lanes/neon.h"

#include "kernels/gated_activation/generic.h"

template void sterna::kernels::gated_activation<sterna::kernels::Isa::neon>(const float*, const float*,
                                                                            std::size_t, GateFunction,
                                                                            float*);
