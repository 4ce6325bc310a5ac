#include "kernels/lanes/avx2.h"

#include "kernels/dense_row/generic.h"

template void sterna::kernels::dense_row<sterna::kernels::Isa::avx2>(const DenseView&, std::size_t, float*);
