// A valid configuration of a few thousand weights, for models without files (runtime/synthetic.h).
#pragma once

#include "runtime/config.h"

namespace sterna::testing {

inline runtime::ModelConfig small_config() {
  runtime::ModelConfig c;
  c.model_type = "bitnet";
  c.name = "small";
  c.hidden = 48;
  c.layers = 2;
  c.heads = 3;
  c.kv_heads = 1;
  c.head_dim = 16;
  c.ffn = 80;
  c.vocab = 300;
  c.context = 64;
  c.tied_head = true;
  c.sub_norms = true;
  return c;
}

}  // namespace sterna::testing
