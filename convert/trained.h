// Linears that were trained ternary, packed without any change of their values.
#pragma once

#include <optional>

#include "convert/checkpoint.h"
#include "convert/hf_config.h"
#include "convert/matrix_source.h"
#include "convert/packed_matrix.h"
#include "runtime/result.h"
#include "runtime/tensor_list.h"
#include "runtime/thread_pool.h"

namespace sterna::convert {

// The linear `spec` of a model whose quantization.form is not none: one plane, one f32 scale (group 0).
//   packed_*        the stored trits; scale = weight_scale, or 1 / weight_scale in float32
//   master_absmean  s = 1 / max(mean |w|, 1e-5), t = clamp(round_half_even(w * s), -1, 1), scale = 1 / s, in
//   float32
//                   over the whole tensor, as transformers' WeightQuant does. The mean is summed in double
//                   and rounded once; torch sums floats in blocks, so its mean may differ in the last bits.
// Errors: a missing, zero, negative or non-finite scale, the code 3, a dtype or shape that contradicts the
// form, NaN or infinity among master weights.
Result<PackedMatrix> pack_trained(const Checkpoint& checkpoint, const HfModel& model,
                                  const runtime::TensorSpec& spec, runtime::ThreadPool& pool);

// What the values of a vector are multiplied with. transformers' AutoBitLinear, offline, computes (t x +
// bias)
// * weight_scale: the real bias is the stored one times the scale. Every other form adds the bias as stored.
Result<float> bias_factor(const Checkpoint& checkpoint, const HfModel& model,
                          const runtime::TensorSpec& spec);

// A float matrix that is ternary already: every group of 128 columns of a row holds at most one non-zero
// magnitude (TriLM, Bonsai and other "unpacked" checkpoints). One f32 scale when there is one magnitude in
// all, else one per row and group, f16 when every one is exactly an f16 that is normal. nullopt: not ternary.
// Values are reproduced exactly (a negative zero becomes zero). Groups without a non-zero weight have scale
// 0.
Result<std::optional<PackedMatrix>> pack_by_value(const MatrixSource& source, runtime::ThreadPool& pool);

}  // namespace sterna::convert
