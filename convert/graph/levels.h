// A matrix of fitted planes before it is packed: integers and steps.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "convert/packed_matrix.h"
#include "kernels/views.h"

namespace sterna::convert {

// weight(r, c) = scales[r * groups() + c / 128] * levels[r * columns + c], |level| <= (3^planes - 1) / 2.
struct LevelMatrix {
  std::size_t rows = 0;
  std::size_t columns = 0;
  std::size_t planes = 1;
  std::vector<std::int8_t> levels;
  std::vector<float> scales;  // finite, >= 0

  static LevelMatrix zeros(std::size_t rows, std::size_t columns, std::size_t planes);
  [[nodiscard]] std::size_t groups() const {
    return (columns + kernels::kGroupColumns - 1) / kernels::kGroupColumns;
  }
  // out [rows, columns]
  void dequantize(std::span<float> out) const;
  // Scales that a file can hold: f16 if all of them are 0 or normal as f16 (they are then rounded), else
  // unchanged.
  void round_scales();
  [[nodiscard]] PackedMatrix pack() const;  // after round_scales() the values are the same
};

}  // namespace sterna::convert
