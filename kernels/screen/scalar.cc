#include "kernels/lanes/scalar.h"

#include "kernels/screen/generic.h"

namespace sterna::kernels {

template <>
struct ScreenOps<Isa::scalar> {
  using Codes = SplitCodes<Isa::scalar>;
  static std::int32_t multiply(std::int32_t total, const Codes::Bytes (&u)[Codes::kVectors],
                               const std::int8_t* x) {
    std::uint8_t values[kSplitColumns];
    __builtin_memcpy(values, u, sizeof values);
    for (std::size_t i = 0; i < kSplitColumns; ++i) total += values[i] * x[i];
    return total;
  }
};

template void screen<Isa::scalar>(const SplitView&, const std::uint8_t*, const ScreenInput&, std::size_t,
                                  std::size_t, float*, float*);
template void screen_plane<Isa::scalar>(const std::uint8_t*, std::size_t, const ScreenInput&, std::size_t,
                                        ScreenRow, float*, float*);

}  // namespace sterna::kernels
