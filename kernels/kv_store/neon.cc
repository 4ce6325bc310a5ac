#include "kernels/lanes/neon.h"

#include "kernels/kv_store/generic.h"

template void sterna::kernels::kv_store<sterna::kernels::Isa::neon>(const float*, std::size_t, KvType, void*,
                                                                    float*);
