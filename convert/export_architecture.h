// Which of llama.cpp's architectures computes what a model is, and how its files say so.
#pragma once

#include <string>
#include <vector>

#include "convert/gguf_writer.h"
#include "runtime/config.h"
#include "runtime/result.h"

namespace sterna::convert {

struct PeerArchitecture {
  std::string name;                 // "llama", "qwen2", "qwen3", "bitnet"
  bool adjacent_pairs = false;      // RoPE rotates elements 2i and 2i + 1 of a head, not i and i + d/2
  std::vector<float> rope_factors;  // each frequency is divided by its own; empty: none. [head_dim / 2]
  std::vector<std::string> notes;   // what the peer computes differently, for people
};

// Errors, one line with the part that has no equal: norms on the inputs of single linears, a window of
// attention, relu2 without sub-norms, sub-norms with biases, an own head or another head dimension, ...
Result<PeerArchitecture> peer_architecture(const runtime::ModelConfig& config, const std::string& where);

// The keys "<architecture>.*".
void add_config_keys(GgufHeader& header, const runtime::ModelConfig& config, const PeerArchitecture& peer);

}  // namespace sterna::convert
