// Linear layers over a batch of tokens: the one place that knows that a ternary matrix wants int8 activations
// and a dense one floats, and how rows are shared between threads.
#pragma once

#include <cstddef>
#include <span>

#include "kernels/registry.h"
#include "runtime/activations.h"
#include "runtime/result.h"
#include "runtime/thread_pool.h"
#include "runtime/weights.h"

namespace sterna::runtime {

// What linears take: x, after what stands in front of them in the graph. A token's row goes through all of
// it, in the order of the members, while it lies in the cache, and one dispatch does so for all tokens.
struct LinearInput {
  float* x = nullptr;               // [tokens, columns]
  const float* residual = nullptr;  // [tokens, columns] or none: x <- x + residual
  const float* up = nullptr;        // [tokens, columns] or none: x <- gate(x) * up
  kernels::GateFunction gate = kernels::GateFunction::silu;
  const float* norm = nullptr;  // [columns] or none: the gain of an RMSNorm, which leaves x as it is
  float eps = 0.0F;             // the norm's
};

struct Projection {
  const Linear* linear;
  float* y;  // [tokens, rows]
};

// An input in the forms that its linears want: int8 for ternary matrices, floats for dense ones and for
// linears with a norm of their own. Valid until the next one is prepared.
struct PreparedInput {
  std::size_t tokens = 0;
  kernels::QuantizedView quantized;
  float* floats = nullptr;  // [tokens, columns]
};

// `projections` are those that project() will get; the ternary ones among them have one rotation, if any,
// which the int8 rows went through and the floats did not.
PreparedInput prepare_input(const kernels::Kernels& kernels, ThreadPool& pool, Activations& scratch,
                            const LinearInput& input, std::size_t tokens,
                            std::span<const Projection> projections);

// y = linear(input) for several linears of one input. `eps` is for linears with a norm of their own.
void project(const kernels::Kernels& kernels, ThreadPool& pool, Activations& scratch,
             const PreparedInput& input, float eps, std::span<const Projection> projections);

// y [tokens, rows] = w x without bias or norm: the head. The same bits wherever the rows are; an error when
// they are in the file and cannot be read.
Status project_dense(const kernels::Kernels& kernels, ThreadPool& pool, Activations& scratch,
                     const DenseRows& w, const float* x, std::size_t tokens, float* y);

}  // namespace sterna::runtime
