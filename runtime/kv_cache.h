// Keys and values of one conversation: [layer][kv head][position][head_dim], so that one head's history is
// contiguous; of an int8 cache also the scales, [layer][kv head][position].
#pragma once

#include <array>
#include <cassert>
#include <cstddef>
#include <string_view>

#include "kernels/registry.h"
#include "runtime/aligned_buffer.h"
#include "runtime/config.h"

namespace sterna::runtime {

inline constexpr std::array<std::string_view, 3> kKvTypeNames{"f16", "f32", "int8"};

// The type with one of these names.
inline kernels::KvType kv_type_named(std::string_view name) {
  if (name == "f32") return kernels::KvType::f32;
  assert(name == "f16" || name == "int8");
  return name == "f16" ? kernels::KvType::f16 : kernels::KvType::i8;
}

class KvCache {
 public:
  static Result<KvCache> create(const ModelConfig& config, std::size_t context, kernels::KvType type) {
    KvCache cache;
    cache.type_ = type;
    cache.heads_ = config.kv_heads;
    cache.context_ = context;
    const std::size_t rows = config.layers * cache.heads_ * context;
    const std::size_t scales = type == kernels::KvType::i8 ? rows : 0;
    cache.row_bytes_ = kernels::kv_stride(type, config.head_dim) * kernels::kv_bytes(type);
    for (Half* half : {&cache.keys_, &cache.values_}) {
      STERNA_TRY(half->rows, AlignedBuffer<std::byte>::create(rows * cache.row_bytes_, "the KV cache"));
      STERNA_TRY(half->scales, AlignedBuffer<float>::create(scales, "the KV cache"));
    }
    return cache;
  }

  // A row and its scale (nullptr unless the cache is int8); those of the next positions follow.
  struct Row {
    std::byte* data;
    float* scale;
  };
  [[nodiscard]] Row key(std::size_t layer, std::size_t head, std::size_t position) {
    return row(keys_, layer, head, position);
  }
  [[nodiscard]] Row value(std::size_t layer, std::size_t head, std::size_t position) {
    return row(values_, layer, head, position);
  }
  [[nodiscard]] kernels::KvType type() const { return type_; }
  [[nodiscard]] std::size_t context() const { return context_; }

 private:
  struct Half {
    AlignedBuffer<std::byte> rows;
    AlignedBuffer<float> scales;
  };
  Row row(Half& half, std::size_t layer, std::size_t head, std::size_t position) const {
    assert(position < context_);
    const std::size_t at = (layer * heads_ + head) * context_ + position;
    return {half.rows.data() + at * row_bytes_,
            type_ == kernels::KvType::i8 ? half.scales.data() + at : nullptr};
  }
  kernels::KvType type_ = kernels::KvType::f16;
  std::size_t heads_ = 0;
  std::size_t row_bytes_ = 0;
  std::size_t context_ = 0;
  Half keys_;
  Half values_;
};

}  // namespace sterna::runtime
