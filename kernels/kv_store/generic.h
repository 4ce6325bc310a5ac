#pragma once

#include "kernels/kv_store/kv_store.h"
#include "kernels/lanes/lanes.h"
#include "kernels/quantize/generic.h"

namespace sterna::kernels {

template <Isa isa>
void kv_store(const float* x, std::size_t n, KvType type, void* out, float* scale) {
  if (type == KvType::f32) {
    __builtin_memcpy(out, x, n * sizeof(float));
    return;
  }
  if (type == KvType::i8) {
    *scale = quantize_row<isa>(x, n, kv_stride(type, n), static_cast<std::int8_t*>(out));
    return;
  }
  using F = F32x16<isa>;
  auto* halves = static_cast<Float16Bits*>(out);
  std::size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) F::load(x + i).store_f16(halves + i);
  if (i == n) return;
  Float16Bits last[kLanes];
  load_first<isa>(x + i, n - i).store_f16(last);
  __builtin_memcpy(halves + i, last, (n - i) * sizeof(Float16Bits));
}

}  // namespace sterna::kernels
