// The one walk over the tensors of a model: what a configuration implies, in file order. The converter, the
// loader and the inspector all follow it, so that a tensor is named in one place.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "runtime/config.h"

namespace sterna::runtime {

enum class Role : std::uint8_t {
  token_embedding,  // [vocab, hidden]
  output,           // the head [vocab, hidden]; absent when tied
  output_norm,      // [hidden]
  attention_norm,   // [hidden]
  q,
  k,
  v,  // linear [heads * head_dim | kv_heads * head_dim, hidden]
  q_norm,
  k_norm,              // [head_dim]
  attention_sub_norm,  // [heads * head_dim]
  o,                   // linear [hidden, heads * head_dim]
  ffn_norm,            // [hidden]
  gate,
  up,            // linear [ffn, hidden]
  ffn_sub_norm,  // [ffn]
  down,          // linear [hidden, ffn]
};

// weight: the matrix or the norm's gain; bias: of a linear; norm: the gain of a linear's own input norm.
enum class Part : std::uint8_t { weight, bias, norm };

struct TensorSpec {
  Role role;
  Part part = Part::weight;
  std::int32_t layer = -1;  // -1: not inside a block
  std::uint32_t rows = 1;   // 1 for vectors
  std::uint32_t columns = 0;
  std::string name;  // in the file: "blk.3.attn_q.weight"

  // A linear layer inside a block: what is ternary in a ternary model.
  [[nodiscard]] bool is_linear() const;
  [[nodiscard]] bool is_embedding() const { return role == Role::token_embedding || role == Role::output; }
  [[nodiscard]] bool is_vector() const { return part != Part::weight || (!is_linear() && !is_embedding()); }
};

// The four inputs of a block's linears, in the order in which they are computed: q, k and v share one, and so
// do gate and up.
enum class Family : std::uint8_t { qkv, o, gate_up, down };
inline constexpr std::size_t kFamilies = 4;
Family family_of(Role linear);

std::vector<TensorSpec> tensor_list(const ModelConfig& config);

// The name of one tensor in a file, without building the list.
std::string tensor_name(Role role, Part part, std::int32_t layer);

}  // namespace sterna::runtime
