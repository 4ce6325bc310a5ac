#include "kernels/lanes/neon.h"

#include "kernels/rms_norm/generic.h"

template void sterna::kernels::rms_norm<sterna::kernels::Isa::neon>(const float*, const float*, std::size_t,
                                                                    float, float*);
template void sterna::kernels::rms_norm_quantize<sterna::kernels::Isa::neon>(const float*, const float*,
                                                                             std::size_t, float, std::size_t,
                                                                             std::int8_t*, std::int32_t*,
                                                                             float*);
