#include "kernels/lanes/avxvnni.h"

#include "kernels/attention/generic.h"

namespace sterna::kernels {

template void attention<Isa::avxvnni>(const AttentionArgs&, std::size_t, std::size_t, float*);
template void attention_merge<Isa::avxvnni>(float*, std::size_t, std::size_t, float*);

}  // namespace sterna::kernels
