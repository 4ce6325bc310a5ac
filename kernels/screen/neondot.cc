#include "kernels/lanes/neondot.h"

#include "kernels/screen/generic.h"

namespace sterna::kernels {

template void screen<Isa::neondot>(const SplitView&, const std::uint8_t*, const ScreenInput&, std::size_t,
                                   std::size_t, float*, float*);
template void screen_plane<Isa::neondot>(const std::uint8_t*, std::size_t, const ScreenInput&, std::size_t,
                                         ScreenRow, float*, float*);

}  // namespace sterna::kernels
