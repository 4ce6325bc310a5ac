#include "kernels/lanes/avx2.h"

#include "kernels/split_row/generic.h"
#include "kernels/split_row/ops_avx2.h"

template void sterna::kernels::split_row<sterna::kernels::Isa::avx2>(const SplitRow&, std::size_t,
                                                                     std::int8_t*);
