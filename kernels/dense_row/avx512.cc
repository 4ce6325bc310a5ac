#include "kernels/lanes/avx512.h"

#include "kernels/dense_row/generic.h"

template void sterna::kernels::dense_row<sterna::kernels::Isa::avx512>(const DenseView&, std::size_t, float*);
