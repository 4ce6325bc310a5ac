#include "kernels/lanes/avx512.h"

#include "kernels/attention/generic.h"

namespace sterna::kernels {

template void attention<Isa::avx512>(const AttentionArgs&, std::size_t, std::size_t, float*);
template void attention_merge<Isa::avx512>(float*, std::size_t, std::size_t, float*);

}  // namespace sterna::kernels
