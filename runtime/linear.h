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

struct Projection {
  const Linear* linear;
  float* y;  // [tokens, rows]
};

// y = linear(x) for several linears of one input x [tokens, columns]; the input is quantised once for all of
// them. `eps` is for linears with a norm of their own.
void project(const kernels::Kernels& kernels, ThreadPool& pool, Activations& scratch, const float* x,
             std::size_t tokens, float eps, std::span<const Projection> projections);

// y [tokens, rows] = w x without bias or norm: the head. The same bits wherever the rows are; an error when
// they are in the file and cannot be read.
Status project_dense(const kernels::Kernels& kernels, ThreadPool& pool, Activations& scratch,
                     const DenseRows& w, const float* x, std::size_t tokens, float* y);

}  // namespace sterna::runtime
