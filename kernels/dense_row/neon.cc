#include "kernels/lanes/neon.h"

#include "kernels/dense_row/generic.h"

template void sterna::kernels::dense_row<sterna::kernels::Isa::neon>(const DenseView&, std::size_t, float*);
