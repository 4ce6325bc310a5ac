#include "kernels/lanes/scalar.h"

#include "kernels/kv_store/generic.h"

template void sterna::kernels::kv_store<sterna::kernels::Isa::scalar>(const float*, std::size_t, KvType,
                                                                      void*, float*);
