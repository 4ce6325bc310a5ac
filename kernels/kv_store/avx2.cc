#include "kernels/lanes/avx2.h"

#include "kernels/kv_store/generic.h"

template void sterna::kernels::kv_store<sterna::kernels::Isa::avx2>(const float*, std::size_t, KvType, void*,
                                                                    float*);
