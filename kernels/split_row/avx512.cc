#include "kernels/lanes/avx512.h"

#include "kernels/split_row/generic.h"
#include "kernels/split_row/ops_avx512.h"

template void sterna::kernels::split_row<sterna::kernels::Isa::avx512>(const SplitRow&, std::size_t,
                                                                       std::int8_t*);
