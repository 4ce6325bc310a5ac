// The weights of a model, each named once. Non-owning: the Model keeps what they point into.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/views.h"
#include "runtime/dense_rows.h"

namespace sterna::runtime {

// A matrix that is either ternary (int8 activations) or dense (float activations).
struct Matrix {
  bool ternary = false;
  kernels::TernaryView trits;
  kernels::DenseView dense;

  Matrix() = default;
  explicit Matrix(const kernels::TernaryView& view) : ternary(true), trits(view) {}
  explicit Matrix(const kernels::DenseView& view) : dense(view) {}
  [[nodiscard]] std::size_t rows() const { return ternary ? trits.rows : dense.rows; }
  [[nodiscard]] std::size_t columns() const { return ternary ? trits.columns : dense.columns; }
};

// y = weight * R^T norm(x) + bias; norm, rotation and bias only where the model has them.
struct Linear {
  Matrix weight;
  const float* bias = nullptr;  // [rows]
  const float* norm = nullptr;  // [columns], RMSNorm gain on the layer's own input
  // Of a ternary weight, the factors of kernels::rotate for R^T.
  const float* rotation = nullptr;  // [columns]
  std::size_t rotation_block = 0;   // 0: none
  std::uint32_t rotation_seed = 0;  // what the factors were made from, for who writes the model
};

struct LayerWeights {
  const float* attention_norm = nullptr;      // [hidden]
  Linear q, k, v;                             // [heads * head_dim | kv_heads * head_dim, hidden]
  const float* q_norm = nullptr;              // [head_dim] or none
  const float* k_norm = nullptr;              // [head_dim] or none
  const float* attention_sub_norm = nullptr;  // [heads * head_dim] or none
  Linear o;                                   // [hidden, heads * head_dim]
  const float* ffn_norm = nullptr;            // [hidden]
  Linear gate, up;                            // [ffn, hidden]
  const float* ffn_sub_norm = nullptr;        // [ffn] or none
  Linear down;                                // [hidden, ffn]
};

struct Weights {
  DenseRows embedding;  // [vocab, hidden]
  std::vector<LayerWeights> layers;
  const float* output_norm = nullptr;  // [hidden]
  DenseRows output;                    // [vocab, hidden]; the embedding when tied
};

}  // namespace sterna::runtime
