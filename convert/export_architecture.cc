#include "convert/export_architecture.h"

#include <cmath>
#include <numbers>
#include <utility>

namespace sterna::convert {
namespace {

using runtime::Gate;
using runtime::ModelConfig;
using runtime::RopeScaling;

// llama3's rule for one frequency after the other, as what divides them (runtime/activations.cc has the rule
// itself).
std::vector<float> llama3_factors(const ModelConfig& c) {
  const runtime::RopeConfig& rope = c.rope;
  std::vector<float> factors(c.head_dim / 2);
  for (std::size_t i = 0; i < factors.size(); ++i) {
    const double frequency = std::pow(rope.theta, -2.0 * static_cast<double>(i) / c.head_dim);
    const double turns = rope.original_context * frequency / (2 * std::numbers::pi);
    double factor = 1.0;
    if (turns < rope.low_frequency_factor) {
      factor = rope.factor;
    } else if (turns <= rope.high_frequency_factor) {
      const double smooth =
          (turns - rope.low_frequency_factor) / (rope.high_frequency_factor - rope.low_frequency_factor);
      factor = 1.0 / ((1.0 - smooth) / rope.factor + smooth);
    }
    factors[i] = static_cast<float>(factor);
  }
  return factors;
}

const char* missing_in_bitnet(const ModelConfig& c) {
  if (c.qkv_bias || c.o_bias || c.mlp_bias) return "biases";
  if (c.qk_norm) return "norms of q and k";
  if (!c.tied_head) return "a head of its own";
  if (c.q_width() != c.hidden) return "heads that are not as wide as the model together";
  if (c.rope.scaling == RopeScaling::llama3) return "llama3 rope scaling";
  return nullptr;
}

const char* missing_in_qwen3(const ModelConfig& c) {
  if (c.o_bias || c.mlp_bias) return "biases outside of q, k and v";
  if (c.rope.scaling == RopeScaling::llama3) return "llama3 rope scaling";
  return nullptr;
}

bool is_qwen2(const ModelConfig& c) {
  return c.model_type == "qwen2" && !c.o_bias && !c.mlp_bias && c.q_width() == c.hidden &&
         c.rope.scaling != RopeScaling::llama3;
}

}  // namespace

Result<PeerArchitecture> peer_architecture(const ModelConfig& c, const std::string& where) {
  if (c.linear_norms) return fail("{}: llama.cpp has no norms on the inputs of single linears", where);
  if (c.sliding_window != 0 && c.sliding_window < c.context) {
    return fail("{}: llama.cpp has no window of attention in the architecture of this model", where);
  }
  if (c.gate == Gate::relu2 && !c.sub_norms) {
    return fail("{}: llama.cpp computes relu2 in no architecture of this shape", where);
  }
  PeerArchitecture peer;
  const char* missing = nullptr;
  if (c.sub_norms) {
    peer.name = "bitnet";
    missing = missing_in_bitnet(c);
    if (c.gate == Gate::relu2) {
      peer.notes.emplace_back(
          "llama.cpp computes SiLU where this model has relu2: its speed can be compared, its text cannot");
    }
  } else if (c.qk_norm) {
    peer.name = "qwen3";
    missing = missing_in_qwen3(c);
  } else if (is_qwen2(c)) {
    peer.name = "qwen2";
  } else {
    peer.name = "llama";
    peer.adjacent_pairs = true;
    if (c.rope.scaling == RopeScaling::llama3) peer.rope_factors = llama3_factors(c);
  }
  if (missing != nullptr) {
    return fail("{}: llama.cpp's architecture '{}' has no place for {}", where, peer.name, missing);
  }
  return peer;
}

void add_config_keys(GgufHeader& header, const ModelConfig& c, const PeerArchitecture& peer) {
  const auto add = [&](const char* key, auto value) { header.add(peer.name + "." + key, value); };
  add("vocab_size", c.vocab);
  add("context_length", c.context);
  add("embedding_length", c.hidden);
  add("block_count", c.layers);
  add("feed_forward_length", c.ffn);
  add("attention.head_count", c.heads);
  add("attention.head_count_kv", c.kv_heads);
  add("attention.key_length", c.head_dim);
  add("attention.value_length", c.head_dim);
  add("attention.layer_norm_rms_epsilon", c.norm_eps);
  add("rope.dimension_count", c.head_dim);
  add("rope.freq_base", static_cast<float>(c.rope.theta));
  if (c.rope.scaling == RopeScaling::linear) {
    add("rope.scaling.type", std::string_view("linear"));
    add("rope.scaling.factor", static_cast<float>(c.rope.factor));
  }
}

}  // namespace sterna::convert
