#include "runtime/attention.h"

#include <algorithm>
#include <cmath>

namespace sterna::runtime {
namespace {

// Tokens that a prefill takes through a chunk of keys while it lies in the cache.
constexpr std::size_t kTileTokens = Activations::kPartialTokens;

// Parts that every thread should find; from this many on nothing is split further. Fewer than the rows of a
// thread's partial results, so that there is room for parts of one chunk, too.
constexpr std::size_t kPartsPerThread = 4;
static_assert(kPartsPerThread <= kTileTokens);

// What is computed at once: query heads that share a key and value head, from first_head on, for some tokens
// and chunks of keys.
struct Part {
  std::size_t first_head;
  std::size_t first_token, tokens;
  std::size_t first_chunk, end_chunk;
};

class Attention {
 public:
  Attention(ForwardContext& c, std::size_t layer, std::size_t tokens, std::size_t position)
      : c_(c), layer_(layer), tokens_(tokens), position_(position), chunks_(chunks(tokens - 1)) {
    const ModelConfig& m = c.config;
    const std::size_t wanted = c.pool.size() == 1 ? 1 : kPartsPerThread * c.pool.size();
    heads_ = m.heads / m.kv_heads;
    tile_ = std::min(tokens, kTileTokens);
    while (tile_ > 1 && parts() < wanted) tile_ /= 2;
    steps_ = std::min(chunks_, (wanted + parts() - 1) / parts());
    while (steps_ == 1 && heads_ % 2 == 0 && parts() < wanted) heads_ /= 2;
  }

  void run() {
    const std::size_t tiles = (tokens_ + tile_ - 1) / tile_;
    c_.pool.run(parts() * steps_, 1, [&](std::size_t begin, std::size_t end, std::size_t worker) {
      for (std::size_t i = begin; i < end; ++i) {
        const std::size_t first = i / steps_ % tiles * tile_;
        const std::size_t step = i % steps_;
        take({i / steps_ / tiles * heads_, first, std::min(tile_, tokens_ - first), chunks_ * step / steps_,
              chunks_ * (step + 1) / steps_},
             worker);
      }
    });
    if (steps_ == 1) return;
    const std::size_t parts_of_token = c_.config.heads / heads_;
    c_.pool.run(parts(), 1, [&](std::size_t begin, std::size_t end, std::size_t) {
      for (std::size_t i = begin; i < end; ++i) {
        merge(i / parts_of_token, i % parts_of_token * heads_, partial(i * heads_));
      }
    });
  }

 private:
  [[nodiscard]] std::size_t parts() const {
    return c_.config.heads / heads_ * ((tokens_ + tile_ - 1) / tile_);
  }
  [[nodiscard]] std::size_t first_key(std::size_t token) const {
    const std::size_t window = c_.config.sliding_window;
    const std::size_t last = position_ + token;
    return window != 0 && last >= window ? last + 1 - window : 0;
  }
  [[nodiscard]] std::size_t chunks(std::size_t token) const {
    return kernels::attention_chunks(position_ + token + 1 - first_key(token));
  }
  // Row `row` of the scratch space.
  [[nodiscard]] float* partial(std::size_t row) const {
    return c_.act.partials.data() + row * chunks_ * kernels::partial_floats(c_.config.head_dim);
  }

  void take(const Part& part, std::size_t worker) const {
    // Whoever computes all chunks of a token merges them, in rows of its own.
    const std::size_t rows = kTileTokens * c_.config.heads / c_.config.kv_heads;
    const auto row = [&](std::size_t t) {
      return steps_ > 1 ? (part.first_token + t) * c_.config.heads + part.first_head
                        : worker * rows + t * heads_;
    };
    for (std::size_t chunk = part.first_chunk; chunk < part.end_chunk; ++chunk) {
      for (std::size_t t = 0; t < part.tokens; ++t) {
        const kernels::AttentionArgs args = arguments(part.first_token + t, part);
        if (chunk >= kernels::attention_chunks(args.n)) continue;
        c_.kernels.attention(args, chunk, chunk + 1, partial(row(t)));
      }
    }
    if (steps_ > 1) return;
    for (std::size_t t = 0; t < part.tokens; ++t)
      merge(part.first_token + t, part.first_head, partial(row(t)));
  }

  [[nodiscard]] kernels::AttentionArgs arguments(std::size_t token, const Part& part) const {
    const ModelConfig& m = c_.config;
    const std::size_t kv_head = part.first_head / (m.heads / m.kv_heads);
    const std::size_t first = first_key(token);
    const KvCache::Row key = c_.cache.key(layer_, kv_head, first);
    const KvCache::Row value = c_.cache.value(layer_, kv_head, first);
    kernels::AttentionArgs args;
    args.q = c_.act.q.data() + token * m.q_width() + part.first_head * m.head_dim;
    args.keys = key.data;
    args.values = value.data;
    args.key_scales = key.scale;
    args.value_scales = value.scale;
    args.type = c_.cache.type();
    args.key_stride = args.value_stride = kernels::kv_stride(args.type, m.head_dim);
    args.head_dim = m.head_dim;
    args.n = position_ + token + 1 - first;
    args.scale = 1.0F / std::sqrt(static_cast<float>(m.head_dim));
    args.queries = heads_;
    return args;
  }

  // The heads of one part.
  void merge(std::size_t token, std::size_t first_head, float* partial) const {
    const ModelConfig& m = c_.config;
    const std::size_t floats = chunks(token) * kernels::partial_floats(m.head_dim);
    float* out = c_.act.attention.data() + token * m.q_width() + first_head * m.head_dim;
    for (std::size_t h = 0; h < heads_; ++h) {
      c_.kernels.attention_merge(partial + h * floats, chunks(token), m.head_dim, out + h * m.head_dim);
    }
  }

  ForwardContext& c_;
  std::size_t layer_;
  std::size_t tokens_;
  std::size_t position_;
  std::size_t chunks_;  // of the last token, which has the most
  std::size_t heads_;   // of a part
  std::size_t tile_;    // tokens of a part
  std::size_t steps_;   // parts that the chunks make: more than one for few tokens with many keys
};

}  // namespace

void attend(ForwardContext& c, std::size_t layer, std::size_t tokens, std::size_t position) {
  Attention(c, layer, tokens, position).run();
}

}  // namespace sterna::runtime
