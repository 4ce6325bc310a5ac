#include "kernels/lanes/avx512.h"

#include "kernels/kv_store/generic.h"

template void sterna::kernels::kv_store<sterna::kernels::Isa::avx512>(const float*, std::size_t, KvType,
                                                                      void*, float*);
