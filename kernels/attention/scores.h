// The scores of a chunk and the numerators of its softmax.
#pragma once

#include "kernels/attention/attention.h"
#include "kernels/lanes/dot.h"
#include "kernels/lanes/math.h"
#include "kernels/quantize/generic.h"

namespace sterna::kernels {

inline constexpr std::size_t kQueriesAtOnce = 4;

constexpr DenseType dense_type(KvType type) {
  return type == KvType::f32 ? DenseType::f32 : type == KvType::f16 ? DenseType::f16 : DenseType::i8;
}

// Numbers of a chunk, key j of query k at [k][j].
template <class T, std::size_t queries>
struct alignas(64) Chunk {
  T at[queries][kChunkKeys];
};

// dots(rows, j, out) for all keys, results to s: four keys at once where 16 sums fit in registers, else as
// many as make four sums.
template <Isa isa, class T, std::size_t queries, class Dots>
[[gnu::always_inline]] inline void for_keys(std::size_t n, Chunk<T, queries>& s, Dots&& dots) {
  constexpr std::size_t at_once = F32x16<isa>::kRegisters == 1 ? 4 : 4 / queries;
  const auto step = [&](auto rows, std::size_t j) __attribute__((always_inline)) {
    T out[round_up(rows * queries, 4)];
    dots(rows, j, out);
    for (std::size_t k = 0; k < queries; ++k) __builtin_memcpy(s.at[k] + j, out + k * rows, rows * sizeof(T));
  };
  std::size_t j = 0;
  for (; j + at_once <= n; j += at_once) step(Index<at_once>{}, j);
  for (; j < n; ++j) step(Index<1>{}, j);
}

// s = q . key for the keys of a chunk.
template <Isa isa, KvType type, std::size_t queries>
void chunk_dots(const AttentionArgs& a, Chunk<float, queries>& s) {
  const auto* keys = static_cast<const std::uint8_t*>(a.keys);
  const auto* values = static_cast<const std::uint8_t*>(a.values);
  const std::size_t row_bytes = a.key_stride * kv_bytes(type);
  for_keys<isa>(
      a.n, s, [&](auto rows, std::size_t j, float* out) __attribute__((always_inline)) {
        dots<isa, dense_type(type), rows, queries>(keys + j * row_bytes, row_bytes, a.q, a.head_dim,
                                                   a.head_dim, values + j * row_bytes, out);
      });
}

// The int8 form; the sums still lack q_scales[k].
template <Isa isa, std::size_t queries>
void chunk_dots_i8(const AttentionArgs& a, Chunk<float, queries>& s, float* q_scales) {
  using F = F32x16<isa>;
  using Factor = typename LaneOps<isa>::Factor;
  const std::size_t width = kv_stride(KvType::i8, a.head_dim);
  alignas(64) Factor factors[queries * kMaxHeadDim];
  std::int8_t row[kMaxHeadDim];
  std::int32_t first[queries];
  for (std::size_t k = 0; k < queries; ++k) {
    q_scales[k] = quantize_row<isa>(a.q + k * a.head_dim, a.head_dim, width, row);
    std::int32_t sum = 0;
    for (std::size_t i = 0; i < width; ++i) {
      factors[k * width + i] = row[i];
      sum += row[i];
    }
    first[k] = -LaneOps<isa>::kOffset * sum;
  }
  const auto* keys = static_cast<const std::int8_t*>(a.keys);
  const auto* values = static_cast<const std::uint8_t*>(a.values);
  Chunk<std::int32_t, queries> d;
  for_keys<isa>(
      a.n, d, [&](auto rows, std::size_t j, std::int32_t* out) __attribute__((always_inline)) {
        int8_dots<isa, rows, queries>(keys + j * a.key_stride, a.key_stride, factors, width, first, width,
                                      values + j * a.key_stride, out);
      });
  const std::size_t whole = a.n / kLanes * kLanes;
  for (std::size_t k = 0; k < queries; ++k) {
    for (std::size_t j = 0; j < whole; j += kLanes) {
      (F::load_i32(d.at[k] + j) * F::load(a.key_scales + j)).store(s.at[k] + j);
    }
    for (std::size_t j = whole; j < a.n; ++j) s.at[k][j] = static_cast<float>(d.at[k][j]) * a.key_scales[j];
  }
}

struct SoftmaxSums {
  float maximum;
  float total;
};

// scores <- exp(scale * scores - maximum); their maximum before that, times scale, and their sum after it.
template <Isa isa>
SoftmaxSums softmax_numerators(float* scores, std::size_t n, float scale) {
  using F = F32x16<isa>;
  const F factor = F::broadcast(scale);
  float largest = -__builtin_inff();
  for_each_sixteen<isa>(n, [=](auto load, auto store) { store(load(scores) * factor, scores); });
  F lanes = F::broadcast(largest);
  const std::size_t whole = n / kLanes * kLanes;
  for (std::size_t j = 0; j < whole; j += kLanes) lanes = F::max(F::load(scores + j), lanes);
  largest = lanes.maximum();
  for (std::size_t j = whole; j < n; ++j) largest = scores[j] > largest ? scores[j] : largest;
  const F shift = F::broadcast(largest);
  F sum = F::zero();
  for_each_sixteen<isa>(n, [&, scores](auto load, auto store) {
    store(exp<isa>(load(scores) - shift), scores);
    sum = sum + load(scores);  // what was stored: lanes past n add +0
  });
  return {largest, sum.sum()};
}

}  // namespace sterna::kernels
