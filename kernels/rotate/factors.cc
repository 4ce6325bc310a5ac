#include "kernels/rotate/factors.h"

#include <bit>
#include <cassert>
#include <cmath>

namespace sterna::kernels {

void fill_rotation(std::uint32_t seed, std::size_t block, std::span<float> factors) {
  assert(std::has_single_bit(block));
  const auto size = static_cast<float>(1.0 / std::sqrt(static_cast<double>(block)));
  for (std::size_t i = 0; i < factors.size(); ++i) {
    std::uint64_t z = seed + (std::uint64_t{i} + 1) * 0x9E3779B97F4A7C15U;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9U;
    z = (z ^ z >> 27) * 0x94D049BB133111EBU;
    z ^= z >> 31;
    factors[i] = (z >> 63) != 0 ? -size : size;
  }
}

}  // namespace sterna::kernels
