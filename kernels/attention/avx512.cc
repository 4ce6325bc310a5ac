#include "kernels/lanes/avx512.h"

#include "kernels/attention/generic.h"

template void sterna::kernels::attention<sterna::kernels::Isa::avx512>(const AttentionArgs&);
