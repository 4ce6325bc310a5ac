#include "kernels/lanes/scalar.h"

#include "kernels/split_row/generic.h"

template void sterna::kernels::split_row<sterna::kernels::Isa::scalar>(const SplitRow&, std::size_t,
                                                                       std::int8_t*);
