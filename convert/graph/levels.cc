#include "convert/graph/levels.h"

#include <algorithm>

namespace sterna::convert {

using kernels::kGroupColumns;
using kernels::ScaleType;

LevelMatrix LevelMatrix::zeros(std::size_t rows, std::size_t columns, std::size_t planes) {
  LevelMatrix m{rows, columns, planes, {}, {}};
  m.levels.resize(rows * columns);
  m.scales.resize(rows * m.groups());
  return m;
}

void LevelMatrix::dequantize(std::span<float> out) const {
  assert(out.size() == rows * columns);
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t g = 0; g < groups(); ++g) {
      const float scale = scales[r * groups() + g];
      const std::size_t end = std::min(columns, (g + 1) * kGroupColumns);
      for (std::size_t c = g * kGroupColumns; c < end; ++c)
        out[r * columns + c] = scale * static_cast<float>(levels[r * columns + c]);
    }
  }
}

void LevelMatrix::round_scales() {
  if (!std::ranges::all_of(scales, near_f16)) return;
  for (float& scale : scales) scale = stored_scale(scale, ScaleType::f16);
}

PackedMatrix LevelMatrix::pack() const {
  const ScaleType type = std::ranges::all_of(scales, near_f16) ? ScaleType::f16 : ScaleType::f32;
  PackedMatrix packed = PackedMatrix::zeros(rows, columns, planes, kGroupColumns, type);
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t g = 0; g < groups(); ++g) packed.set_scale(r, g, scales[r * groups() + g]);
  }
  for (std::size_t r = 0; r < rows; r += kernels::kTileRows) {
    const std::size_t count = std::min(kernels::kTileRows, rows - r);
    packed.set_block(r, std::span(levels).subspan(r * columns, count * columns));
  }
  return packed;
}

}  // namespace sterna::convert
