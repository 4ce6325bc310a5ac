// Keys and values of one conversation: [layer][kv head][position][head_dim], so that one head's history is
// contiguous.
#pragma once

#include <cstddef>

#include "kernels/registry.h"
#include "runtime/aligned_buffer.h"
#include "runtime/config.h"

namespace sterna::runtime {

class KvCache {
 public:
  static Result<KvCache> create(const ModelConfig& config, std::size_t context, kernels::KvType type) {
    KvCache cache;
    cache.type_ = type;
    cache.heads_ = config.kv_heads;
    cache.head_bytes_ = config.head_dim * kernels::kv_bytes(type);
    cache.context_ = context;
    const std::size_t bytes = config.layers * cache.heads_ * context * cache.head_bytes_;
    STERNA_TRY(cache.keys_, AlignedBuffer<std::byte>::create(bytes, "the key cache"));
    STERNA_TRY(cache.values_, AlignedBuffer<std::byte>::create(bytes, "the value cache"));
    return cache;
  }

  [[nodiscard]] kernels::KvType type() const { return type_; }
  [[nodiscard]] std::size_t context() const { return context_; }
  [[nodiscard]] std::byte* key(std::size_t layer, std::size_t head, std::size_t position) {
    return keys_.data() + offset(layer, head, position);
  }
  [[nodiscard]] std::byte* value(std::size_t layer, std::size_t head, std::size_t position) {
    return values_.data() + offset(layer, head, position);
  }

 private:
  [[nodiscard]] std::size_t offset(std::size_t layer, std::size_t head, std::size_t position) const {
    assert(position < context_);
    return ((layer * heads_ + head) * context_ + position) * head_bytes_;
  }
  kernels::KvType type_ = kernels::KvType::f16;
  std::size_t heads_ = 0;
  std::size_t head_bytes_ = 0;
  std::size_t context_ = 0;
  AlignedBuffer<std::byte> keys_;
  AlignedBuffer<std::byte> values_;
};

}  // namespace sterna::runtime
