#include "runtime/tensor_list.h"

namespace sterna::runtime {
namespace {

const char* stem(Role role) {
  switch (role) {
    case Role::token_embedding:
      return "token_embd";
    case Role::output:
      return "output";
    case Role::output_norm:
      return "output_norm";
    case Role::attention_norm:
      return "attn_norm";
    case Role::q:
      return "attn_q";
    case Role::k:
      return "attn_k";
    case Role::v:
      return "attn_v";
    case Role::q_norm:
      return "attn_q_norm";
    case Role::k_norm:
      return "attn_k_norm";
    case Role::attention_sub_norm:
      return "attn_sub_norm";
    case Role::o:
      return "attn_output";
    case Role::ffn_norm:
      return "ffn_norm";
    case Role::gate:
      return "ffn_gate";
    case Role::up:
      return "ffn_up";
    case Role::ffn_sub_norm:
      return "ffn_sub_norm";
    case Role::down:
      return "ffn_down";
  }
  return "?";
}

const char* suffix(Part part) {
  switch (part) {
    case Part::weight:
      return "weight";
    case Part::bias:
      return "bias";
    case Part::norm:
      return "norm_in.weight";
  }
  return "?";
}

class ListBuilder {
 public:
  explicit ListBuilder(const ModelConfig& config) : config_(config) {}

  void vector(Role role, std::uint32_t size, std::int32_t layer = -1) {
    add(role, Part::weight, layer, 1, size);
  }

  void matrix(Role role, std::uint32_t rows, std::uint32_t columns, std::int32_t layer = -1) {
    add(role, Part::weight, layer, rows, columns);
  }

  void linear(Role role, std::uint32_t rows, std::uint32_t columns, std::int32_t layer, bool bias) {
    if (config_.linear_norms) add(role, Part::norm, layer, 1, columns);
    add(role, Part::weight, layer, rows, columns);
    if (bias) add(role, Part::bias, layer, 1, rows);
  }

  std::vector<TensorSpec> take() { return std::move(list_); }

 private:
  void add(Role role, Part part, std::int32_t layer, std::uint32_t rows, std::uint32_t columns) {
    list_.push_back({role, part, layer, rows, columns, tensor_name(role, part, layer)});
  }

  const ModelConfig& config_;
  std::vector<TensorSpec> list_;
};

void add_block(ListBuilder& list, const ModelConfig& c, std::int32_t layer) {
  list.vector(Role::attention_norm, c.hidden, layer);
  list.linear(Role::q, c.q_width(), c.hidden, layer, c.qkv_bias);
  list.linear(Role::k, c.kv_width(), c.hidden, layer, c.qkv_bias);
  list.linear(Role::v, c.kv_width(), c.hidden, layer, c.qkv_bias);
  if (c.qk_norm) {
    list.vector(Role::q_norm, c.head_dim, layer);
    list.vector(Role::k_norm, c.head_dim, layer);
  }
  if (c.sub_norms) list.vector(Role::attention_sub_norm, c.q_width(), layer);
  list.linear(Role::o, c.hidden, c.q_width(), layer, c.o_bias);
  list.vector(Role::ffn_norm, c.hidden, layer);
  list.linear(Role::gate, c.ffn, c.hidden, layer, c.mlp_bias);
  list.linear(Role::up, c.ffn, c.hidden, layer, c.mlp_bias);
  if (c.sub_norms) list.vector(Role::ffn_sub_norm, c.ffn, layer);
  list.linear(Role::down, c.hidden, c.ffn, layer, c.mlp_bias);
}

}  // namespace

bool TensorSpec::is_linear() const {
  if (part != Part::weight) return false;
  switch (role) {
    case Role::q:
    case Role::k:
    case Role::v:
    case Role::o:
    case Role::gate:
    case Role::up:
    case Role::down:
      return true;
    default:
      return false;
  }
}

std::string tensor_name(Role role, Part part, std::int32_t layer) {
  if (layer < 0) return fmt::format("{}.{}", stem(role), suffix(part));
  return fmt::format("blk.{}.{}.{}", layer, stem(role), suffix(part));
}

Family family_of(Role linear) {
  switch (linear) {
    case Role::q:
    case Role::k:
    case Role::v:
      return Family::qkv;
    case Role::o:
      return Family::o;
    case Role::gate:
    case Role::up:
      return Family::gate_up;
    default:
      assert(linear == Role::down);
      return Family::down;
  }
}

std::vector<TensorSpec> tensor_list(const ModelConfig& config) {
  ListBuilder list(config);
  list.matrix(Role::token_embedding, config.vocab, config.hidden);
  for (std::uint32_t layer = 0; layer < config.layers; ++layer) {
    add_block(list, config, static_cast<std::int32_t>(layer));
  }
  list.vector(Role::output_norm, config.hidden);
  if (!config.tied_head) list.matrix(Role::output, config.vocab, config.hidden);
  return list.take();
}

}  // namespace sterna::runtime
