#include "runtime/config.h"

#include <cmath>

namespace sterna::runtime {
namespace {

struct Range {
  const char* field;
  std::uint32_t value;
  std::uint32_t low;
  std::uint32_t high;
};

}  // namespace

Status validate(const ModelConfig& c, const std::string& where) {
  // The upper bounds are far above any published model and keep every product of two of them inside 64 bits
  // and every activation buffer inside what one allocation may ask for.
  const Range ranges[] = {
      {"hidden size", c.hidden, 1, 1U << 17},    {"layers", c.layers, 1, 4096},
      {"attention heads", c.heads, 1, 4096},     {"key/value heads", c.kv_heads, 1, 4096},
      {"head dimension", c.head_dim, 2, 4096},   {"feed-forward size", c.ffn, 1, 1U << 19},
      {"vocabulary size", c.vocab, 1, 1U << 24}, {"context length", c.context, 1, 1U << 27},
  };
  for (const Range& r : ranges) {
    if (r.value < r.low || r.value > r.high) {
      return fail("{}: {} is {}, expected {} to {}; the model's configuration is damaged or not supported",
                  where, r.field, r.value, r.low, r.high);
    }
  }
  if (c.heads % c.kv_heads != 0) {
    return fail("{}: {} attention heads cannot share {} key/value heads evenly", where, c.heads, c.kv_heads);
  }
  if (c.head_dim % 2 != 0)
    return fail("{}: head dimension {} is odd; rotary embedding needs pairs", where, c.head_dim);
  if (static_cast<std::uint64_t>(c.heads) * c.head_dim > (1U << 19)) {
    return fail("{}: {} heads of {} dimensions are wider than {} columns", where, c.heads, c.head_dim,
                1U << 19);
  }
  if (!(c.norm_eps >= 0.0F) || !(c.norm_eps < 1.0F))
    return fail("{}: norm epsilon {} is not in [0, 1)", where, c.norm_eps);
  if (!(c.linear_norm_eps >= 0.0F) || !(c.linear_norm_eps < 1.0F)) {
    return fail("{}: norm epsilon of the linear layers {} is not in [0, 1)", where, c.linear_norm_eps);
  }
  if (!(c.rope.theta > 0.0) || !std::isfinite(c.rope.theta)) {
    return fail("{}: rope theta {} is not a positive number", where, c.rope.theta);
  }
  if (!(c.rope.factor > 0.0) || !std::isfinite(c.rope.factor)) {
    return fail("{}: rope scaling factor {} is not a positive number", where, c.rope.factor);
  }
  if (c.rope.scaling == RopeScaling::llama3 &&
      (c.rope.original_context == 0 || !(c.rope.high_frequency_factor > c.rope.low_frequency_factor) ||
       !(c.rope.low_frequency_factor > 0.0))) {
    return fail(
        "{}: llama3 rope scaling needs original_max_position_embeddings > 0 and 0 < low_freq_factor < "
        "high_freq_factor",
        where);
  }
  if (c.bos >= static_cast<std::int64_t>(c.vocab)) {
    return fail("{}: bos token {} is outside the vocabulary of {}", where, c.bos, c.vocab);
  }
  for (const std::int32_t id : c.stop_tokens) {
    if (id < 0 || id >= static_cast<std::int64_t>(c.vocab)) {
      return fail("{}: stop token {} is outside the vocabulary of {}", where, id, c.vocab);
    }
  }
  return {};
}

}  // namespace sterna::runtime
