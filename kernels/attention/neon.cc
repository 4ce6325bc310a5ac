#include "kernels/lanes/neon.h"

#include "kernels/attention/generic.h"

template void sterna::kernels::attention<sterna::kernels::Isa::neon>(const AttentionArgs&);
