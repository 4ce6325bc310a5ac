// The end of the graph over one window: final norm, logits, and how far they are from what they should be.
// One thread. A vocabulary may have 128k rows, so the tokens of a window go through in pieces.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/registry.h"

namespace sterna::convert {

struct HeadWeights {
  std::span<const float> norm;  // [hidden]
  std::span<const float> rows;  // [vocab, hidden]: the embedding's when tied
};

// What the logits are compared with: those of a teacher, or the text itself.
struct HeadTarget {
  std::span<const float> hidden;      // [tokens, hidden] of the teacher, after its final norm; or empty
  std::span<const float> rows;        // [vocab, hidden] of the teacher's head
  std::span<const std::int32_t> ids;  // without a teacher: the window's tokens, [tokens]
};

class HeadLoss {
 public:
  // eps: of the final norm
  HeadLoss(const kernels::Kernels& kernels, float eps) : kernels_(kernels), eps_(eps) {}

  // With p, q the softmax of the teacher's and of our logits, the mean over the tokens of
  //     KL(p || q) = sum_i p_i ln(p_i / q_i);
  // without a teacher the mean over all tokens but the last of -ln q(next token). In nats.
  // x [tokens, hidden]: the residual stream after the last block.
  double loss(const HeadWeights& head, const HeadTarget& target, std::span<const float> x);

  // The same; x becomes dL/dx, and dL/dnorm is added to norm_gradient [hidden] unless that is empty.
  // dL/dlogits = (q - p) / tokens, p the next token's unit vector where there is no teacher.
  double backward(const HeadWeights& head, const HeadTarget& target, std::span<float> x,
                  std::span<float> norm_gradient);

 private:
  double pieces(const HeadWeights& head, const HeadTarget& target, std::span<const float> x, bool derive);
  double piece_loss(const HeadTarget& target, std::size_t first, std::size_t tokens, std::size_t vocab);
  void derive_piece(const HeadTarget& target, std::size_t first, std::size_t tokens, std::size_t total,
                    std::size_t vocab);

  const kernels::Kernels& kernels_;
  float eps_;
  std::vector<float> normed_, d_normed_, logits_, teacher_;
};

}  // namespace sterna::convert
