#include "kernels/lanes/scalar.h"

#include "kernels/attention/generic.h"

namespace sterna::kernels {

template void attention<Isa::scalar>(const AttentionArgs&, std::size_t, std::size_t, float*);
template void attention_merge<Isa::scalar>(float*, std::size_t, std::size_t, float*);

}  // namespace sterna::kernels
