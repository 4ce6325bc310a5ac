// Sixteen float32 lanes, the same on every instruction set: scalar.h is the definition, simd.h with
// avx2.h or neon.h must agree with it bit for bit. That makes every kernel built on lanes return the same
// bits everywhere:
//  * a sum over i adds element i to lane i % 16, in ascending order; elements missing in the last sixteen
//    count as +0;
//  * sum() adds lane i and i + 8, then i and i + 4, i + 2, i + 1;
//  * + - * / round each by itself: nothing is contracted to a fused multiply-add (-ffp-contract=off,
//    -mno-fma);
//  * max(a, b) is a > b ? a : b and min(a, b) is a < b ? a : b, so with a NaN the result is b;
//  * conversions are exact, or to nearest with ties to even.
// NaN results are NaN everywhere; their sign and payload bits are not part of the promise.
//
// F32x16<isa>, memory unaligned:
//   zero()  broadcast(float)
//   load(const float*)  load_f16(...)  load_bf16(...)  load_i8(...)  load_i32(...)
//   store(float*)  store_f16(...)
//   store_i8(...)      rounded to nearest even; the lanes must be in [-128.5, 127.5)
//   + - * /  max  min
//   max_abs(a, b)      the larger of |a| and |b|, as integers: infinity is above all numbers, NaN above it
//   butterfly<S>()     S = 1, 2, 4 or 8: where lane i has a and lane i + S has b, with S's bit of i clear, a
//   + b
//                      and a - b, each rounded once
//   times_pow2(t)      lane * 2^n for t = n + kRoundingMagic, n whole, -252 <= n <= 254; right to the ends
//   sum()  maximum()   over the lanes, as trees
//   sums(four, out)    out[i] = four[i].sum(), together: 3 operations a sum instead of 9
//   kRegisters         that the sixteen lanes fill
//
// LaneOps<isa> is what F32x16 calls where xsimd has no name for it, and products of int8, exact:
//   load_bytes(p)                  kBytes of them as a register Bytes, kOffset added (unsigned then)
//   add_products(totals, x, y)     totals + x * y, lane by lane; y points to kBytes elements of type Factor
//   first_totals(n)                totals whose sum is n
//   store_totals(four, out)        out[i] = the sum over the lanes of four[i]
// |x|, |y| <= 127.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "kernels/isa.h"
#include "kernels/kv_store/kv_store.h"
#include "kernels/views.h"

namespace sterna::kernels {

inline constexpr std::size_t kLanes = 16;

// Adding 1.5 * 2^23 to |x| < 2^22 leaves x rounded to nearest even in the low bits of the mantissa.
inline constexpr float kRoundingMagic = 12582912.0f;

// All of a float but its sign. Without it floats are in the order of their bits.
inline constexpr std::uint32_t kMagnitudeBits = 0x7FFFFFFF;

template <Isa isa>
struct F32x16;

template <Isa isa>
struct LaneOps;

// Weights that one token meets come from memory, once, and what a loop computes between two loads leaves too
// few of them in flight: on a virtual machine with 29 GB/s for two cores, AVX-512 loops read 14 (int8 rows)
// and 19 GB/s (trits) without this, 20 and 26 with it; 4 KB is too near (10), from 8 to 32 KB it is all the
// same. Nothing faults where this goes past the end. (Not in a lambda of its own: gcc 12 takes one that only
// prefetches for one without effect.)
inline constexpr std::size_t kPrefetchBytes = 8192;
[[gnu::always_inline]] inline void prefetch(const void* p) { __builtin_prefetch(p, 0, 2); }
[[gnu::always_inline]] inline void prefetch_ahead(const void* p, std::size_t bytes = kPrefetchBytes) {
  prefetch(static_cast<const char*>(p) + bytes);
}

// A number known to the compiler. std::integral_constant would do, were its conversion inlined at -O0 too:
// nothing that is common to files of different instruction sets may be left out of line (see islands.cmake of
// the tests).
template <std::size_t i>
struct Index {
  [[gnu::always_inline]] constexpr operator std::size_t() const { return i; }
};

// body(0), body(1), ... with compile-time indices: arrays of lanes stay in registers.
template <std::size_t n, class Body>
[[gnu::always_inline]] inline void unrolled(Body&& body) {
  [&]<std::size_t... i>(std::index_sequence<i...>) __attribute__((always_inline)) { (body(Index<i>{}), ...); }
  (std::make_index_sequence<n>{});
}

template <Isa isa, DenseType type>
[[gnu::always_inline]] inline F32x16<isa> load(const void* p) {
  using F = F32x16<isa>;
  if constexpr (type == DenseType::f32) return F::load(static_cast<const float*>(p));
  if constexpr (type == DenseType::f16) return F::load_f16(static_cast<const Float16Bits*>(p));
  if constexpr (type == DenseType::bf16) return F::load_bf16(static_cast<const BFloat16Bits*>(p));
  if constexpr (type == DenseType::i8) return F::load_i8(static_cast<const std::int8_t*>(p));
}

// The first n < 16 elements; the other lanes are +0 and their memory is not read.
template <Isa isa, DenseType type = DenseType::f32>
inline F32x16<isa> load_first(const void* p, std::size_t n) {
  alignas(64) unsigned char padded[kLanes * sizeof(float)] = {};
  __builtin_memcpy(padded, p, n * dense_bytes(type));
  return load<isa, type>(padded);
}

// Stores the first n < 16 lanes only.
template <Isa isa>
inline void store_first(F32x16<isa> x, float* p, std::size_t n) {
  alignas(64) float all[kLanes];
  x.store(all);
  __builtin_memcpy(p, all, n * sizeof(float));
}

// For kernels that treat each element alone: body(load, store) for every sixteen, where load(p) is the
// lanes at p + i and store(x, p) puts them there; neither touches memory past n.
template <Isa isa, class Body>
[[gnu::always_inline]] inline void for_each_sixteen(std::size_t n, Body&& body) {
  std::size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    body([i](const float* p) { return F32x16<isa>::load(p + i); },
         [i](F32x16<isa> x, float* p) { x.store(p + i); });
  }
  if (i < n) {
    body([i, n](const float* p) { return load_first<isa>(p + i, n - i); },
         [i, n](F32x16<isa> x, float* p) { store_first<isa>(x, p + i, n - i); });
  }
}

}  // namespace sterna::kernels
