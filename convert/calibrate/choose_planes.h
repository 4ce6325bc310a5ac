// Which matrix gets how many trit planes, so that a file of a given size is as good as it can be.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/views.h"
#include "runtime/result.h"

namespace sterna::convert {

// A matrix with one, two, three planes: index planes - 1.
struct PlaneCosts {
  std::uint64_t weights = 0;
  std::array<std::uint64_t, kernels::kMaxPlanes> bytes{};  // in a file, scales and padding included; rising
  std::array<double, kernels::kMaxPlanes> losses{};        // of the model; finite; only differences count
};

// What a matrix [rows, columns] takes in a file: codes in the form of Storage::fast, f16 scales per 128
// columns. (A matrix with scales that f16 cannot hold takes f32 ones; that is known only when it is fitted.)
std::array<std::uint64_t, kernels::kMaxPlanes> bytes_of_planes(std::size_t rows, std::size_t columns);

// Planes for every matrix: never more than bits_per_weight over all weights, and, beginning with one plane
// everywhere, always the change next that lowers the loss most for its bytes, of those that still fit; ties
// by place. While all fit these are the steps of the matrices' lower convex hulls, by falling slope, which no
// other choice of that size can beat; so the loss is above the least possible one by less than the first step
// that did not fit would have gained. Errors: less than one plane everywhere takes.
Result<std::vector<std::size_t>> choose_planes(std::span<const PlaneCosts> matrices, double bits_per_weight);

}  // namespace sterna::convert
