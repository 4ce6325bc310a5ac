#include "kernels/lanes/neoni8mm.h"

#include "kernels/attention/generic.h"

namespace sterna::kernels {

template void attention<Isa::neoni8mm>(const AttentionArgs&, std::size_t, std::size_t, float*);
template void attention_merge<Isa::neoni8mm>(float*, std::size_t, std::size_t, float*);

}  // namespace sterna::kernels
