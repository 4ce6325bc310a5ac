// The rotation of a linear's input (kernels/rotate/rotate.h) and of what is multiplied with it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/registry.h"

namespace sterna::convert {

// x' = R^T x, what a linear's input becomes before it is multiplied, and W' = W R, what its weights are then.
// A row of W' is R^T w, so that both are rotated in the same way.
struct Rotation {
  std::size_t block = 1;  // a power of two that divides the columns, at least 2
  std::uint32_t seed = 0;
  std::vector<float> factors;     // [columns], kernels::fill_rotation()
  std::vector<float> magnitudes;  // [columns] of factors
};

// Nothing for a block of one column (or 0: none), which changes nothing.
std::shared_ptr<const Rotation> make_rotation(std::size_t columns, std::size_t block, std::uint32_t seed);

// x <- R^T x, x [rows, rotation.factors.size()]
void rotate(const kernels::Kernels& kernels, const Rotation& rotation, std::size_t rows, float* x);
// x <- R x = s o (H x): its inverse, and as R is orthogonal its derivative as well.
void unrotate(const kernels::Kernels& kernels, const Rotation& rotation, std::size_t rows, float* x);

}  // namespace sterna::convert
