#include "kernels/lanes/scalar.h"

#include "kernels/attention/generic.h"

template void sterna::kernels::attention<sterna::kernels::Isa::scalar>(const AttentionArgs&);
