#include "kernels/lanes/avx512vnni.h"

#include "kernels/screen/generic.h"
#include "kernels/split_row/ops_avx512.h"

namespace sterna::kernels {

template <>
struct SplitOps<Isa::avx512vnni> : SplitOps512<Isa::avx512vnni> {};

template void screen<Isa::avx512vnni>(const SplitView&, const std::uint8_t*, const ScreenInput&, std::size_t,
                                      std::size_t, float*, float*);
template void screen_plane<Isa::avx512vnni>(const std::uint8_t*, std::size_t, const ScreenInput&, std::size_t,
                                            ScreenRow, float*, float*);

}  // namespace sterna::kernels
