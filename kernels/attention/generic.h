#pragma once

#include "kernels/attention/attention.h"
#include "kernels/lanes/dot.h"
#include "kernels/lanes/math.h"

namespace sterna::kernels {

template <Isa isa, DenseType type>
void attention_scores(const AttentionArgs& a) {
  const auto* keys = static_cast<const std::uint8_t*>(a.keys);
  const std::size_t row_bytes = a.key_stride * dense_bytes(type);
  std::size_t j = 0;
  for (; j + 4 <= a.n; j += 4) {
    dots<isa, type, 4, 1>(keys + j * row_bytes, row_bytes, a.q, 0, a.head_dim, a.scores + j);
  }
  for (; j < a.n; ++j)
    dots<isa, type, 1, 1>(keys + j * row_bytes, row_bytes, a.q, 0, a.head_dim, a.scores + j);
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

// out[i .. i + 16 * count) = sum over j of scores[j] * values[j], divided by `total`.
template <Isa isa, DenseType type, std::size_t count, class Load>
inline void weighted_sum(const AttentionArgs& a, std::size_t i, float total, Load load_value,
                         F32x16<isa>* result) {
  using F = F32x16<isa>;
  const auto* value = static_cast<const std::uint8_t*>(a.values) + i * dense_bytes(type);
  F sums[count];
  unrolled<count>([&](auto k) { sums[k] = F::zero(); });
  for (std::size_t j = 0; j < a.n; ++j, value += a.value_stride * dense_bytes(type)) {
    const F p = F::broadcast(a.scores[j]);
    unrolled<count>([&](auto k) __attribute__((always_inline)) {
      sums[k] = sums[k] + p * load_value(value + k * kLanes * dense_bytes(type));
    });
  }
  unrolled<count>([&](auto k) { result[k] = sums[k] / F::broadcast(total); });
}

template <Isa isa, DenseType type>
void attention_typed(const AttentionArgs& a) {
  using F = F32x16<isa>;
  attention_scores<isa, type>(a);
  const float total = softmax_numerators<isa>(a.scores, a.n, a.scale);
  F result[4];
  std::size_t i = 0;
  for (; i + 4 * kLanes <= a.head_dim; i += 4 * kLanes) {  // four sixteens fill eight registers of AVX2
    weighted_sum<isa, type, 4>(a, i, total, load<isa, type>, result);
    for (std::size_t k = 0; k < 4; ++k) result[k].store(a.out + i + k * kLanes);
  }
  for (; i + kLanes <= a.head_dim; i += kLanes) {
    weighted_sum<isa, type, 1>(a, i, total, load<isa, type>, result);
    result[0].store(a.out + i);
  }
  if (const std::size_t rest = a.head_dim - i; rest != 0) {
    weighted_sum<isa, type, 1>(
        a, i, total, [rest](const void* p) { return load_first<isa, type>(p, rest); }, result);
    store_first<isa>(result[0], a.out + i, rest);
  }
}

template <Isa isa>
void attention(const AttentionArgs& a) {
  if (a.type == KvType::f32) return attention_typed<isa, DenseType::f32>(a);
  attention_typed<isa, DenseType::f16>(a);
}

}  // namespace sterna::kernels
