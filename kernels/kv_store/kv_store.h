// Floats into the key/value cache: one row, the key or value of a token and head.
//
//     f32: out[i] = x[i]
//     f16: out[i] = x[i] rounded to nearest, ties to even; beyond 65519.99 infinite; NaN stays NaN
//     i8:  out[i] and *scale as quantize (quantize.h) has them, x ~ *scale * out; a NaN or infinity in x
//     makes
//          the scale NaN; zeros up to kv_stride
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/isa.h"
#include "kernels/views.h"

namespace sterna::kernels {

enum class KvType : std::uint8_t { f32, f16, i8 };

// Of an element.
constexpr std::size_t kv_bytes(KvType type) { return type == KvType::f32 ? 4 : type == KvType::f16 ? 2 : 1; }

// Elements from one row of n to the next: int8 rows are padded to whole registers.
inline constexpr std::size_t kKvPadding = 64;
constexpr std::size_t kv_stride(KvType type, std::size_t n) {
  return type == KvType::i8 ? round_up(n, kKvPadding) : n;
}

// out: kv_stride(type, n) elements of `type`. scale: one float, i8 only. No alignment needed beyond that of
// the element; no overlap.
template <Isa isa>
void kv_store(const float* x, std::size_t n, KvType type, void* out, float* scale);

}  // namespace sterna::kernels
