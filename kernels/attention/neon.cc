#include "kernels/lanes/neon.h"

#include "kernels/attention/generic.h"

namespace sterna::kernels {

template void attention<Isa::neon>(const AttentionArgs&, std::size_t, std::size_t, float*);
template void attention_merge<Isa::neon>(float*, std::size_t, std::size_t, float*);

}  // namespace sterna::kernels
