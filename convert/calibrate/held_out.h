// How well a quantised model predicts text that nothing was fitted to, beside the float model.
#pragma once

#include <cstddef>
#include <span>

#include "convert/graph/head.h"
#include "kernels/registry.h"
#include "runtime/thread_pool.h"

namespace sterna::convert {

struct HeldOut {
  std::size_t tokens = 0;
  double float_loss = 0.0;  // mean of -ln p(next token)
  double loss = 0.0;
  double divergence = 0.0;  // mean KL(float || quantised), nats
};

// One window: x [tokens, hidden] are the residual streams after the last block of the float and the quantised
// model; `head` has the rows and the norm of each.
struct HeldOutWindow {
  std::span<const std::int32_t> ids;
  std::span<const float> float_stream;
  std::span<const float> stream;
};
HeldOut measure_held_out(std::span<const HeldOutWindow> windows, const HeadWeights& float_head,
                         const HeadWeights& head, float eps, const kernels::Kernels& kernels,
                         runtime::ThreadPool& pool);

}  // namespace sterna::convert
