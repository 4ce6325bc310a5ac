// One transformer block in float32 over a window of a text: the graph of the converter, which looks at the
// inputs of the linears and changes their weights. Nothing here is shared between windows, and a window is
// computed by one thread, so results do not depend on the number of threads.
//
// A window of T tokens begins at position 0. Matrices are row-major: T rows, or one per output.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "convert/graph/rotation.h"
#include "kernels/registry.h"
#include "runtime/config.h"
#include "runtime/tensor_list.h"

namespace sterna::convert {

struct DenseLinear {
  std::size_t rows = 0;
  std::size_t columns = 0;
  std::vector<float> weight;  // [rows, columns], for the rotated input where there is a rotation
  std::vector<float> bias;    // [rows] or empty
};

using runtime::Family;
using runtime::family_of;
using runtime::kFamilies;

struct BlockWeights {
  std::vector<float> attention_norm;  // [hidden]
  DenseLinear q, k, v;
  std::vector<float> q_norm, k_norm;      // [head_dim] or empty
  std::vector<float> attention_sub_norm;  // [heads * head_dim] or empty
  DenseLinear o;
  std::vector<float> ffn_norm;  // [hidden]
  DenseLinear gate, up;
  std::vector<float> ffn_sub_norm;  // [ffn] or empty
  DenseLinear down;
  std::array<std::shared_ptr<const Rotation>, kFamilies> rotations;  // of the inputs; none: as they are

  [[nodiscard]] const Rotation* rotation(Family family) const {
    return rotations[static_cast<std::size_t>(family)].get();
  }
};

// What is the same for all blocks and windows.
class BlockGraph {
 public:
  // window: the most tokens of one.
  BlockGraph(const runtime::ModelConfig& config, const kernels::Kernels& kernels, std::size_t window);

  // Memory of one window's computation; one per thread.
  struct Scratch {
    std::vector<float> q, k, v, scores, input, gate, up;
  };

  // The inputs of the linears, rotated: [tokens, columns]. x [tokens, hidden] is the residual stream.
  void qkv_input(const BlockWeights& w, std::span<const float> x, float* out) const;
  void o_input(const BlockWeights& w, std::span<const float> qkv_input, Scratch& scratch, float* out) const;
  void gate_up_input(const BlockWeights& w, std::span<const float> x, float* out) const;
  void down_input(const BlockWeights& w, std::span<const float> gate_up_input, Scratch& scratch,
                  float* out) const;
  // y [tokens, rows] (+)= linear(x), x [tokens, columns] as the functions above give it.
  static void apply(const DenseLinear& linear, std::span<const float> x, float* y, bool add);

  // The whole block: x [tokens, hidden] in place.
  void forward(const BlockWeights& w, std::span<float> x, Scratch& scratch) const;

  [[nodiscard]] const runtime::ModelConfig& config() const { return config_; }
  [[nodiscard]] const kernels::Kernels& kernels() const { return kernels_; }
  [[nodiscard]] std::size_t columns(Family family) const;  // of the input
  // cos and sin [tokens, head_dim / 2]
  [[nodiscard]] const float* cos(std::size_t position) const { return cos_.data() + position * pairs_; }
  [[nodiscard]] const float* sin(std::size_t position) const { return sin_.data() + position * pairs_; }

  // y [tokens, n] = RMSNorm(x) gain per row; y may be x.
  void norm(const float* x, std::span<const float> gain, std::size_t tokens, float* y) const;
  // q, k, v of a window, with head norms and rotary positions.
  void project_heads(const BlockWeights& w, std::span<const float> qkv_input, float* q, float* k,
                     float* v) const;
  // Head norms and rotary positions of q and k [tokens, ...] as the linears gave them, in place.
  void position_heads(const BlockWeights& w, std::size_t tokens, float* q, float* k) const;
  // scores [kQueryRows, tokens] of the queries [begin, end) of a head: probabilities, 0 where a query does
  // not see.
  static constexpr std::size_t kQueryRows = 128;
  void probabilities(const float* q, const float* k, std::size_t head, std::size_t begin, std::size_t end,
                     std::size_t tokens, float* scores) const;
  // out [tokens, heads * head_dim]
  void attend(const float* q, const float* k, const float* v, std::size_t tokens, float* scores,
              float* out) const;

 private:
  const runtime::ModelConfig& config_;
  const kernels::Kernels& kernels_;
  std::size_t pairs_;
  std::vector<float> cos_, sin_;
};

}  // namespace sterna::convert
