// Floats into the key/value cache.
//
//     f16: out[i] = x[i] rounded to nearest, ties to even; beyond 65519.99 infinite; NaN stays NaN
//     f32: out[i] = x[i]
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/isa.h"

namespace sterna::kernels {

enum class KvType : std::uint8_t { f32, f16 };

constexpr std::size_t kv_bytes(KvType type) { return type == KvType::f32 ? 4 : 2; }

// out: n elements of `type`. No alignment needed beyond that of the element; no overlap.
template <Isa isa>
void kv_store(const float* x, std::size_t n, KvType type, void* out);

}  // namespace sterna::kernels
