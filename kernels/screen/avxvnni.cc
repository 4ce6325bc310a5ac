#include "kernels/lanes/avxvnni.h"

#include "kernels/screen/generic.h"
#include "kernels/split_row/ops_avx2.h"

namespace sterna::kernels {

template <>
struct SplitOps<Isa::avxvnni> : SplitOps256<Isa::avxvnni> {};

template void screen<Isa::avxvnni>(const SplitView&, const std::uint8_t*, const ScreenInput&, std::size_t,
                                   std::size_t, float*, float*);
template void screen_plane<Isa::avxvnni>(const std::uint8_t*, std::size_t, const ScreenInput&, std::size_t,
                                         ScreenRow, float*, float*);

}  // namespace sterna::kernels
