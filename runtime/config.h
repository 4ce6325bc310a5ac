// The dimensions and switches of one model: everything that the forward pass needs to know besides the
// weights. Filled from a Hugging Face config.json (convert/hf_config) or from GGUF metadata
// (runtime/model_file), and checked by validate() in both cases.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/result.h"

namespace sterna::runtime {

enum class Gate : std::uint8_t { silu, relu2 };  // FFN: act(gate) * up; relu2(x) = max(x, 0)^2

// How rotary frequencies f_i = theta^(-2i/head_dim) are changed.
// llama3: Llama 3.1's rule (wavelength bands); linear: f_i / factor.
enum class RopeScaling : std::uint8_t { none, linear, llama3 };

struct RopeConfig {
  double theta = 10000.0;
  RopeScaling scaling = RopeScaling::none;
  double factor = 1.0;
  double low_frequency_factor = 1.0;   // llama3 only
  double high_frequency_factor = 4.0;  // llama3 only
  std::uint32_t original_context = 0;  // llama3 only
};

struct ModelConfig {
  std::string
      model_type;    // "bitnet", "llama", "mistral", "qwen2", "qwen3": as a name only, behaviour is below
  std::string name;  // for people
  std::uint32_t hidden = 0;  // width of the residual stream
  std::uint32_t layers = 0;
  std::uint32_t heads = 0;
  std::uint32_t kv_heads = 0;  // divides heads
  std::uint32_t head_dim = 0;  // even
  std::uint32_t ffn = 0;
  std::uint32_t vocab = 0;           // rows of the embedding
  std::uint32_t context = 0;         // positions the model was made for
  std::uint32_t sliding_window = 0;  // a token sees this many positions, itself included; 0: all
  float norm_eps = 1e-5F;
  float linear_norm_eps = 1e-6F;  // of the norms that belong to single linear layers (BitNet use_rms_norm)
  Gate gate = Gate::silu;
  RopeConfig rope;
  bool tied_head = false;
  bool sub_norms = false;     // BitNet: RMSNorm before o_proj and before down_proj
  bool qk_norm = false;       // Qwen3: RMSNorm over each head of q and k before RoPE
  bool linear_norms = false;  // a norm on the input of every linear layer
  bool qkv_bias = false;
  bool o_bias = false;
  bool mlp_bias = false;

  std::int32_t bos = -1;                  // -1: none
  std::vector<std::int32_t> stop_tokens;  // every end-of-text and end-of-turn id that the model's files name

  [[nodiscard]] std::uint32_t q_width() const { return heads * head_dim; }
  [[nodiscard]] std::uint32_t kv_width() const { return kv_heads * head_dim; }
};

// Ranges and divisibility; `where` names the file in the message.
Status validate(const ModelConfig& config, const std::string& where);

}  // namespace sterna::runtime
