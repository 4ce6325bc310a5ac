#include "kernels/lanes/neondot.h"

#include "kernels/attention/generic.h"

namespace sterna::kernels {

template void attention<Isa::neondot>(const AttentionArgs&, std::size_t, std::size_t, float*);
template void attention_merge<Isa::neondot>(float*, std::size_t, std::size_t, float*);

}  // namespace sterna::kernels
