#include "kernels/lanes/neoni8mm.h"

#include "kernels/screen/generic.h"

namespace sterna::kernels {

template void screen<Isa::neoni8mm>(const SplitView&, const std::uint8_t*, const ScreenInput&, std::size_t,
                                    std::size_t, float*, float*);
template void screen_plane<Isa::neoni8mm>(const std::uint8_t*, std::size_t, const ScreenInput&, std::size_t,
                                          ScreenRow, float*, float*);

}  // namespace sterna::kernels
