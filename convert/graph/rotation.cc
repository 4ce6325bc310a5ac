#include "convert/graph/rotation.h"

#include <algorithm>
#include <cmath>

#include "kernels/rotate/factors.h"

namespace sterna::convert {

std::shared_ptr<const Rotation> make_rotation(std::size_t columns, std::size_t block, std::uint32_t seed) {
  if (block < 2) return nullptr;
  auto rotation = std::make_shared<Rotation>();
  rotation->block = block;
  rotation->seed = seed;
  rotation->factors.resize(columns);
  kernels::fill_rotation(seed, block, rotation->factors);
  rotation->magnitudes.resize(columns);
  std::ranges::transform(rotation->factors, rotation->magnitudes.begin(),
                         [](float x) { return std::fabs(x); });
  return rotation;
}

void rotate(const kernels::Kernels& kernels, const Rotation& rotation, std::size_t rows, float* x) {
  const std::size_t n = rotation.factors.size();
  for (std::size_t r = 0; r < rows; ++r, x += n)
    kernels.rotate(x, rotation.factors.data(), n, rotation.block, x);
}

void unrotate(const kernels::Kernels& kernels, const Rotation& rotation, std::size_t rows, float* x) {
  const std::size_t n = rotation.factors.size();
  for (std::size_t r = 0; r < rows; ++r, x += n) {
    kernels.rotate(x, rotation.magnitudes.data(), n, rotation.block, x);
    for (std::size_t i = 0; i < n; ++i) x[i] *= std::copysign(1.0F, rotation.factors[i]);
  }
}

}  // namespace sterna::convert
