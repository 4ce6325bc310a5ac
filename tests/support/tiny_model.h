// A complete Hugging Face directory of a few kilobytes: a random Llama with a byte-level tokenizer of 256
// bytes and three special tokens. Everything that a test wants to break can be replaced before it is written.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "tests/support/safetensors_writer.h"
#include "tests/support/temp_dir.h"

namespace sterna::testing {

// The printable stand-in of a byte in byte-level vocabularies, as UTF-8.
inline std::string byte_symbol(unsigned byte) {
  const bool printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  unsigned code = byte;
  if (!printable) {
    unsigned n = 0;
    for (unsigned b = 0; b < byte; ++b) {
      if (!((b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174)) ++n;
    }
    code = 256 + n;
  }
  if (code < 0x80) return {static_cast<char>(code)};
  return {static_cast<char>(0xC0U | (code >> 6)), static_cast<char>(0x80U | (code & 0x3FU))};
}

struct TinyModel {
  nlohmann::json config = {
      {"architectures", {"LlamaForCausalLM"}},
      {"model_type", "llama"},
      {"hidden_size", 32},
      {"intermediate_size", 48},
      {"num_hidden_layers", 2},
      {"num_attention_heads", 4},
      {"num_key_value_heads", 2},
      {"vocab_size", 260},
      {"max_position_embeddings", 64},
      {"rms_norm_eps", 1e-5},
      {"rope_theta", 10000.0},
      {"hidden_act", "silu"},
      {"tie_word_embeddings", true},
      {"bos_token_id", 256},
      {"eos_token_id", 257},
      {"torch_dtype", "float32"},
  };
  nlohmann::json tokenizer = default_tokenizer();
  nlohmann::json tokenizer_config = {
      {"bos_token", "<s>"},
      {"eos_token", "</s>"},
      {"chat_template",
       "{% for m in messages %}<|turn|>{{ m['role'] }}: {{ m['content'] }}</s>{% endfor %}"
       "{% if add_generation_prompt %}<|turn|>assistant: {% endif %}"},
  };
  struct Tensor {
    std::vector<std::uint64_t> shape;
    std::vector<float> values;
  };
  std::map<std::string, Tensor> tensors;

  explicit TinyModel(unsigned seed = 1) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal(0.0F, 0.2F);
    const auto matrix = [&](const std::string& name, std::uint64_t rows, std::uint64_t columns) {
      std::vector<float> values(rows * columns);
      for (float& v : values) v = normal(random);
      tensors[name] = {{rows, columns}, std::move(values)};
    };
    const auto gain = [&](const std::string& name) { tensors[name] = {{32}, std::vector<float>(32, 1.0F)}; };
    matrix("model.embed_tokens.weight", 260, 32);
    for (int layer = 0; layer < 2; ++layer) {
      const std::string prefix = "model.layers." + std::to_string(layer) + ".";
      gain(prefix + "input_layernorm.weight");
      gain(prefix + "post_attention_layernorm.weight");
      matrix(prefix + "self_attn.q_proj.weight", 32, 32);
      matrix(prefix + "self_attn.k_proj.weight", 16, 32);
      matrix(prefix + "self_attn.v_proj.weight", 16, 32);
      matrix(prefix + "self_attn.o_proj.weight", 32, 32);
      matrix(prefix + "mlp.gate_proj.weight", 48, 32);
      matrix(prefix + "mlp.up_proj.weight", 48, 32);
      matrix(prefix + "mlp.down_proj.weight", 32, 48);
    }
    gain("model.norm.weight");
  }

  static nlohmann::json default_tokenizer() {
    nlohmann::json vocab = nlohmann::json::object();
    for (unsigned byte = 0; byte < 256; ++byte) vocab[byte_symbol(byte)] = byte;
    const auto special = [](int id, const char* text) {
      return nlohmann::json{{"id", id},        {"content", text}, {"single_word", false},
                            {"lstrip", false}, {"rstrip", false}, {"normalized", false},
                            {"special", true}};
    };
    return {{"version", "1.0"},
            {"added_tokens", {special(256, "<s>"), special(257, "</s>"), special(258, "<|turn|>")}},
            {"normalizer", nullptr},
            {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}}},
            {"post_processor", nullptr},
            {"decoder", {{"type", "ByteLevel"}}},
            {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", nlohmann::json::array()}}}};
  }

  void write(const TempDir& directory) const {
    SafetensorsWriter weights;
    for (const auto& [name, tensor] : tensors) weights.floats(name, tensor.shape, tensor.values);
    directory.write("config.json", config.dump());
    directory.write("tokenizer.json", tokenizer.dump());
    directory.write("tokenizer_config.json", tokenizer_config.dump());
    directory.write("model.safetensors", weights.bytes());
  }
};

}  // namespace sterna::testing
