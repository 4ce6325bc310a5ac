#include "kernels/lanes/neon.h"

#include "kernels/split_row/generic.h"

template void sterna::kernels::split_row<sterna::kernels::Isa::neon>(const SplitRow&, std::size_t,
                                                                     std::int8_t*);
