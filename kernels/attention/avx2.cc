#include "kernels/lanes/avx2.h"

#include "kernels/attention/generic.h"

template void sterna::kernels::attention<sterna::kernels::Isa::avx2>(const AttentionArgs&);
