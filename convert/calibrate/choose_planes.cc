#include "convert/calibrate/choose_planes.h"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "runtime/format.h"
#include "runtime/storage.h"

namespace sterna::convert {
namespace {

using kernels::kMaxPlanes;

struct Step {
  std::size_t matrix = 0;
  std::size_t planes = 0;  // 0: none
  double gain = 0.0;
  double bytes = 1.0;
};

// The best of the steps that fit into `left` bytes.
Step best_step(std::span<const PlaneCosts> matrices, const std::vector<std::size_t>& planes,
               std::uint64_t left) {
  Step best;
  for (std::size_t i = 0; i < matrices.size(); ++i) {
    const PlaneCosts& m = matrices[i];
    const std::size_t now = planes[i] - 1;
    for (std::size_t to = now + 1; to < kMaxPlanes; ++to) {
      const std::uint64_t more = m.bytes[to] - m.bytes[now];
      const double gain = m.losses[now] - m.losses[to];
      if (more > left || !(gain > 0.0)) continue;
      const auto bytes = static_cast<double>(more);
      // Of equal slopes within a matrix the longer step: less depends on what else fits.
      if (gain * best.bytes > best.gain * bytes ||
          (gain * best.bytes == best.gain * bytes && best.planes != 0 && best.matrix == i)) {
        best = {i, to + 1, gain, bytes};
      }
    }
  }
  return best;
}

}  // namespace

std::array<std::uint64_t, kMaxPlanes> bytes_of_planes(std::size_t rows, std::size_t columns) {
  std::array<std::uint64_t, kMaxPlanes> bytes{};
  for (std::size_t planes = 1; planes <= kMaxPlanes; ++planes) {
    runtime::TensorDescriptor d;
    d.rows = rows;
    d.columns = columns;
    d.planes = planes;
    d.group = kernels::kGroupColumns;
    d.scale_type = kernels::ScaleType::f16;
    d.layout = runtime::ternary_layout(runtime::form_of(runtime::Storage::fast, planes, d.group));
    bytes[planes - 1] = d.bytes();
  }
  return bytes;
}

Result<std::vector<std::size_t>> choose_planes(std::span<const PlaneCosts> matrices, double bits_per_weight) {
  std::uint64_t weights = 0;
  std::uint64_t least = 0;
  std::uint64_t most = 0;
  for (const PlaneCosts& m : matrices) {
    assert(std::ranges::is_sorted(m.bytes));
    weights += m.weights;
    least += m.bytes.front();
    most += m.bytes.back();
  }
  const double budget = bits_per_weight * static_cast<double>(weights) / 8.0;
  if (!(budget >= static_cast<double>(least))) {
    const double bits = 8.0 * static_cast<double>(least) / static_cast<double>(weights);
    return fail("{} bits per weight are too few: one plane everywhere takes {:.3f}; give --bpw at least that",
                bits_per_weight, std::ceil(bits * 1000.0) / 1000.0);
  }
  if (budget >= static_cast<double>(most)) return std::vector<std::size_t>(matrices.size(), kMaxPlanes);
  std::vector<std::size_t> planes(matrices.size(), 1);
  std::uint64_t left = static_cast<std::uint64_t>(budget) - least;
  for (Step step = best_step(matrices, planes, left); step.planes != 0;
       step = best_step(matrices, planes, left)) {
    const PlaneCosts& m = matrices[step.matrix];
    left -= m.bytes[step.planes - 1] - m.bytes[planes[step.matrix] - 1];
    planes[step.matrix] = step.planes;
  }
  return planes;
}

}  // namespace sterna::convert
