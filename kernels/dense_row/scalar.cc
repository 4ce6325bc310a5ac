#include "kernels/lanes/scalar.h"

#include "kernels/dense_row/generic.h"

template void sterna::kernels::dense_row<sterna::kernels::Isa::scalar>(const DenseView&, std::size_t, float*);
