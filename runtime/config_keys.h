// The metadata keys of a ModelConfig: one list that the writer and the reader both follow.
#pragma once

#include <string_view>

#include "runtime/config.h"

namespace sterna::runtime {

inline constexpr std::string_view kGateNames[] = {"silu", "relu2"};             // by Gate
inline constexpr std::string_view kRopeNames[] = {"none", "linear", "llama3"};  // by RopeScaling

// visitor(key, field) for every field: std::string, std::uint32_t, float, double, bool; enums come as
// visitor.choice(key, field, names). Config is ModelConfig or const ModelConfig.
template <class Config, class Visitor>
void visit_config(Config& c, Visitor& visitor) {
  visitor("sterna.model_type", c.model_type);
  visitor("general.name", c.name);
  visitor("sterna.embedding_length", c.hidden);
  visitor("sterna.block_count", c.layers);
  visitor("sterna.attention.head_count", c.heads);
  visitor("sterna.attention.head_count_kv", c.kv_heads);
  visitor("sterna.attention.key_length", c.head_dim);
  visitor("sterna.feed_forward_length", c.ffn);
  visitor("sterna.vocab_size", c.vocab);
  visitor("sterna.context_length", c.context);
  visitor("sterna.attention.sliding_window", c.sliding_window);
  visitor("sterna.attention.layer_norm_rms_epsilon", c.norm_eps);
  visitor("sterna.linear_norm_rms_epsilon", c.linear_norm_eps);
  visitor.choice("sterna.hidden_activation", c.gate, kGateNames);
  visitor("sterna.rope.freq_base", c.rope.theta);
  visitor.choice("sterna.rope.scaling.type", c.rope.scaling, kRopeNames);
  visitor("sterna.rope.scaling.factor", c.rope.factor);
  visitor("sterna.rope.scaling.low_freq_factor", c.rope.low_frequency_factor);
  visitor("sterna.rope.scaling.high_freq_factor", c.rope.high_frequency_factor);
  visitor("sterna.rope.scaling.original_context_length", c.rope.original_context);
  visitor("sterna.tied_head", c.tied_head);
  visitor("sterna.sub_norms", c.sub_norms);
  visitor("sterna.attention.qk_norm", c.qk_norm);
  visitor("sterna.linear_norms", c.linear_norms);
  visitor("sterna.attention.qkv_bias", c.qkv_bias);
  visitor("sterna.attention.output_bias", c.o_bias);
  visitor("sterna.feed_forward_bias", c.mlp_bias);
}

}  // namespace sterna::runtime
