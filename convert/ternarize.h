// Data-free ternarisation: W ~ d (3^(P-1) T1 + ... + TP) with P tied planes, one step d per row and 128
// columns.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "convert/matrix_source.h"
#include "convert/packed_matrix.h"
#include "runtime/result.h"
#include "runtime/thread_pool.h"

namespace sterna::convert {

// The largest integer of P planes: 1, 4, 13.
constexpr int max_level(std::size_t planes) { return planes == 1 ? 1 : planes == 2 ? 4 : 13; }

// The step d >= 0 that minimises sum (w - d k)^2 over d and over integers |k| <= max_level: the global
// optimum up to float rounding of the breakpoints. 0 for a group of zeros. 1 <= group.size() <= 128, values
// finite.
float best_step(std::span<const float> group, int max_level);

// k[i] = clamp(round(w[i] / d)), ties to even, in float32; all 0 for d = 0.
void nearest_levels(std::span<const float> group, float step, int max_level, std::span<std::int8_t> k);

struct Ternarized {
  PackedMatrix matrix;
  double relative_error = 0.0;  // ||W - Q|| / ||W|| (0 for W = 0)
};

// Steps are stored as f16, and k is chosen for the rounded step; f32 for the whole matrix when some step is
// not a normal f16. planes: 1..3. The same bytes at any number of threads. Errors: NaN or infinity among the
// weights, with its place.
Result<Ternarized> ternarize(const MatrixSource& source, std::size_t planes, runtime::ThreadPool& pool);

}  // namespace sterna::convert
