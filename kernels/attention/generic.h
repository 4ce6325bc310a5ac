#pragma once

#include "kernels/attention/attention.h"
#include "kernels/lanes/dot.h"
#include "kernels/lanes/math.h"

namespace sterna::kernels {

inline constexpr std::size_t kQueriesAtOnce = 4;

// scores[k * n + j] = q_k . key_j. Four sums at once for one query, as many as fill the registers for
// several.
template <Isa isa, DenseType type, std::size_t queries>
void attention_scores(const AttentionArgs& a) {
  constexpr std::size_t at_once = queries == 1 ? 4 : F32x16<isa>::kRegisters == 1 ? 2 : 1;
  const auto* keys = static_cast<const std::uint8_t*>(a.keys);
  const std::size_t row_bytes = a.key_stride * dense_bytes(type);
  const auto take = [&](auto rows, std::size_t j) __attribute__((always_inline)) {
    float sums[rows * queries];
    dots<isa, type, rows, queries>(keys + j * row_bytes, row_bytes, a.q, a.head_dim, a.head_dim, sums);
    for (std::size_t i = 0; i < rows * queries; ++i) a.scores[i % queries * a.n + j + i / queries] = sums[i];
  };
  std::size_t j = 0;
  for (; j + at_once <= a.n; j += at_once) take(Index<at_once>{}, j);
  for (; j < a.n; ++j) take(Index<1>{}, j);
}

// scores <- exp(scale * scores - max); returns their sum.
template <Isa isa>
float softmax_numerators(float* scores, std::size_t n, float scale) {
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
  return sum.sum();
}

// result[k * count + c] = the lanes 16 (i / 16 + c) of sum over j of scores_k[j] * values[j], divided by
// totals[k].
template <Isa isa, DenseType type, std::size_t queries, std::size_t count, class Load>
inline void weighted_sums(const AttentionArgs& a, std::size_t i, const float* totals, Load load_value,
                          F32x16<isa>* result) {
  using F = F32x16<isa>;
  const auto* value = static_cast<const std::uint8_t*>(a.values) + i * dense_bytes(type);
  F sums[queries * count];
  unrolled<queries * count>([&](auto n) { sums[n] = F::zero(); });
  for (std::size_t j = 0; j < a.n; ++j, value += a.value_stride * dense_bytes(type)) {
    for (std::size_t at = 0; at < count * kLanes * dense_bytes(type); at += 64) prefetch_ahead(value + at);
    F v[count];
    unrolled<count>([&](auto c) __attribute__((always_inline)) {
      v[c] = load_value(value + c * kLanes * dense_bytes(type));
    });
    unrolled<queries>([&](auto k) __attribute__((always_inline)) {
      const F p = F::broadcast(a.scores[k * a.n + j]);
      unrolled<count>([&](auto c) __attribute__((always_inline)) {
        sums[k * count + c] = sums[k * count + c] + p * v[c];
      });
    });
  }
  unrolled<queries * count>([&](auto n) { result[n] = sums[n] / F::broadcast(totals[n / count]); });
}

template <Isa isa, DenseType type, std::size_t queries>
void attention_typed(const AttentionArgs& a) {
  using F = F32x16<isa>;
  attention_scores<isa, type, queries>(a);
  float totals[queries];
  for (std::size_t k = 0; k < queries; ++k) {
    totals[k] = softmax_numerators<isa>(a.scores + k * a.n, a.n, a.scale);
  }
  // Accumulators: eight registers of AVX2, sixteen of AVX-512.
  constexpr std::size_t at_once = queries == 1 || F::kRegisters == 1 ? 4 : 1;
  F result[queries * at_once];
  std::size_t i = 0;
  // A lambda, not the function's address: that is called, not inlined (5 % of a decode step at depth 2048).
  const auto load_all = [](const void* p) __attribute__((always_inline)) { return load<isa, type>(p); };
  const auto store = [&](auto count) __attribute__((always_inline)) {
    for (std::size_t n = 0; n < queries * count; ++n) {
      result[n].store(a.out + n / count * a.head_dim + i + n % count * kLanes);
    }
    i += count * kLanes;
  };
  while (i + at_once * kLanes <= a.head_dim) {
    weighted_sums<isa, type, queries, at_once>(a, i, totals, load_all, result);
    store(Index<at_once>{});
  }
  while (i + kLanes <= a.head_dim) {
    weighted_sums<isa, type, queries, 1>(a, i, totals, load_all, result);
    store(Index<1>{});
  }
  if (const std::size_t rest = a.head_dim - i; rest != 0) {
    weighted_sums<isa, type, queries, 1>(
        a, i, totals, [rest](const void* p) { return load_first<isa, type>(p, rest); }, result);
    for (std::size_t k = 0; k < queries; ++k) store_first<isa>(result[k], a.out + k * a.head_dim + i, rest);
  }
}

template <Isa isa>
void attention(const AttentionArgs& a) {
  const auto run = [&](auto queries, const AttentionArgs& part) {
    if (a.type == KvType::f32) return attention_typed<isa, DenseType::f32, queries>(part);
    attention_typed<isa, DenseType::f16, queries>(part);
  };
  AttentionArgs part = a;
  const auto step = [&](auto count) {
    for (; part.queries >= count; part.queries -= count) {
      run(count, part);
      part.q += count * a.head_dim;
      part.out += count * a.head_dim;
    }
  };
  step(Index<kQueriesAtOnce>{});
  step(Index<2>{});
  step(Index<1>{});
}

}  // namespace sterna::kernels
