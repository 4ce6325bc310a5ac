// The backward pass of a transformer block over one window, by one thread. What the forward pass had inside
// is computed again from the residual stream at the block's entry, so that of a whole model only [layers,
// tokens, hidden] has to be kept.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "convert/graph/block.h"

namespace sterna::convert {

// Where the derivatives of one linear y = W x' + b are added; what is empty is not computed.
struct LinearGradient {
  std::span<float> weight;      // [rows, columns]: dL/dW = dy^T x', x' the (rotated) input
  std::span<float> log_scales;  // [rows, groups]: dL/d ln s = sum over the group's columns of W o dL/dW,
                                // which is what W = s * level gives; 0 where s = 0
  std::span<float> bias;        // [rows]: dL/db = sum over the tokens of dy
  // dL/dy itself, stored, not added.
  std::span<float> outputs = {};  // [tokens, rows]
  // [rows]: sum over the tokens of dy^2, no derivative: how much the loss depends on an output (a diagonal of
  // the empirical Fisher information)
  std::span<float> output_squares = {};
};

// The same for a block; norm gains as in BlockWeights, or empty.
struct BlockGradient {
  std::span<float> attention_norm;
  LinearGradient q, k, v;
  std::span<float> q_norm, k_norm;
  std::span<float> attention_sub_norm;
  LinearGradient o;
  std::span<float> ffn_norm;
  LinearGradient gate, up;
  std::span<float> ffn_sub_norm;
  LinearGradient down;
};

class BlockBackward {
 public:
  // Uses the graph's tables, which must outlive it.
  explicit BlockBackward(const BlockGraph& graph) : graph_(graph) {}

  // x [tokens, hidden]: the residual stream at the block's entry. dx [tokens, hidden]: dL/dx at its exit;
  // becomes dL/dx at its entry. Gradients are added to `gradient`.
  //
  // Formulas: for y = W x' of a linear, dL/dx' = dy W; for attention, per head with P = softmax(Q K^T c),
  // A = P V, c = 1 / sqrt(head_dim):
  //     dP = dA V^T,  dS = c P o (dP - rowsum(dA o A)),  dQ = dS K,  dK = dS^T Q,  dV = P^T dA
  // (Dao et al., FlashAttention, 2022, appendix B). The small operations: derivatives.h.
  void run(const BlockWeights& w, std::span<const float> x, std::span<float> dx,
           const BlockGradient& gradient);

 private:
  void recompute(const BlockWeights& w, std::span<const float> x);
  void ffn(const BlockWeights& w, std::span<float> dx, const BlockGradient& gradient);
  void output(const BlockWeights& w, std::span<const float> dx, const BlockGradient& gradient);
  void attention();
  void input(const BlockWeights& w, std::span<const float> x, std::span<float> dx,
             const BlockGradient& gradient);
  // x [tokens, columns] the linear's input, dy [tokens, rows].
  void linear(const DenseLinear& w, const float* x, const float* dy, const LinearGradient& gradient);
  // dx [tokens, columns] (+)= dy W
  void through(const DenseLinear& w, const float* dy, float* dx, bool add) const;

  const BlockGraph& graph_;
  std::size_t tokens_ = 0;
  // As the forward pass had them.
  std::vector<float> qkv_input_, q_before_, k_before_, q_, k_, v_, attended_, o_input_, middle_,
      gate_up_input_, gate_, up_, down_input_;
  // Derivatives, and one matrix.
  std::vector<float> d_hidden_, d_ffn_, d_attended_, dq_, dk_, dv_, probabilities_, d_probabilities_, matrix_;
};

}  // namespace sterna::convert
