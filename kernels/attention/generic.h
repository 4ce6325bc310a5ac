#pragma once

#include "kernels/attention/scores.h"

namespace sterna::kernels {

// result[k * count + c] = the lanes 16 (i / 16 + c) of sum over j of p_k[j] * values[j].
template <Isa isa, KvType type, std::size_t queries, std::size_t count, class Load>
inline void weighted_sums(const AttentionArgs& a, const Chunk<float, queries>& p, std::size_t i,
                          Load load_value, F32x16<isa>* result) {
  using F = F32x16<isa>;
  const std::size_t next = (a.n * a.key_stride + i) * kv_bytes(type);  // the keys of the next chunk
  const auto* soon = static_cast<const std::uint8_t*>(a.keys) + next;
  const auto* value = static_cast<const std::uint8_t*>(a.values) + i * kv_bytes(type);
  F sums[queries * count];
  unrolled<queries * count>([&](auto n) __attribute__((always_inline)) { sums[n] = F::zero(); });
  for (std::size_t j = 0; j < a.n; ++j, value += a.value_stride * kv_bytes(type)) {
    for (std::size_t at = 0; at < count * kLanes * kv_bytes(type); at += 64) {
      prefetch(soon + j * a.key_stride * kv_bytes(type) + at);
    }
    F v[count];
    unrolled<count>([&](auto c) __attribute__((always_inline)) {
      v[c] = load_value(value + c * kLanes * kv_bytes(type));
    });
    unrolled<queries>([&](auto k) __attribute__((always_inline)) {
      const F weight = F::broadcast(p.at[k][j]);
      unrolled<count>([&](auto c) __attribute__((always_inline)) {
        sums[k * count + c] = sums[k * count + c] + weight * v[c];
      });
    });
  }
  unrolled<queries * count>([&](auto n) __attribute__((always_inline)) { result[n] = sums[n]; });
}

// o_c of the chunk that `a` is, query k at out + k * out_stride.
template <Isa isa, KvType type, std::size_t queries>
void chunk_values(const AttentionArgs& a, const Chunk<float, queries>& p, float* out,
                  std::size_t out_stride) {
  using F = F32x16<isa>;
  // Accumulators: eight registers of AVX2, sixteen of AVX-512.
  constexpr std::size_t at_once = queries == 1 || F::kRegisters == 1 ? 4 : 1;
  F result[queries * at_once];
  std::size_t i = 0;
  // A lambda, not the function's address: that is called, not inlined (5 % of a decode step at depth 2048).
  const auto load_all = [](const void* x) __attribute__((always_inline)) {
    return load<isa, dense_type(type)>(x);
  };
  const auto step = [&](auto count) __attribute__((always_inline)) {
    for (; i + count * kLanes <= a.head_dim; i += count * kLanes) {
      weighted_sums<isa, type, queries, count>(a, p, i, load_all, result);
      for (std::size_t n = 0; n < queries * count; ++n) {
        result[n].store(out + n / count * out_stride + i + n % count * kLanes);
      }
    }
  };
  step(Index<at_once>{});
  step(Index<1>{});
  if (const std::size_t rest = a.head_dim - i; rest != 0) {
    weighted_sums<isa, type, queries, 1>(
        a, p, i, [rest](const void* x) { return load_first<isa, dense_type(type)>(x, rest); }, result);
    for (std::size_t k = 0; k < queries; ++k) store_first<isa>(result[k], out + k * out_stride + i, rest);
  }
}

// The chunk that `a` is, at most kChunkKeys keys.
template <Isa isa, KvType type, std::size_t queries>
void attention_chunk(const AttentionArgs& a, float* partial, std::size_t partial_stride) {
  using F = F32x16<isa>;
  Chunk<float, queries> p;
  float q_scales[queries];
  if constexpr (type == KvType::i8) {
    chunk_dots_i8<isa, queries>(a, p, q_scales);
  } else {
    chunk_dots<isa, type, queries>(a, p);
  }
  for (std::size_t k = 0; k < queries; ++k) {
    float* scores = p.at[k];
    const float scale = type == KvType::i8 ? a.scale * q_scales[k] : a.scale;
    const SoftmaxSums sums = softmax_numerators<isa>(scores, a.n, scale);
    partial[k * partial_stride + a.head_dim] = sums.maximum;
    partial[k * partial_stride + a.head_dim + 1] = sums.total;
    if constexpr (type == KvType::i8) {
      const std::size_t whole = a.n / kLanes * kLanes;
      for (std::size_t j = 0; j < whole; j += kLanes) {
        (F::load(scores + j) * F::load(a.value_scales + j)).store(scores + j);
      }
      for (std::size_t j = whole; j < a.n; ++j) scores[j] *= a.value_scales[j];
    }
  }
  chunk_values<isa, type, queries>(a, p, partial, partial_stride);
}

// The keys of chunk `chunk` alone.
[[gnu::always_inline]] inline AttentionArgs chunk_of(const AttentionArgs& a, std::size_t chunk) {
  const std::size_t first = chunk * kChunkKeys;
  AttentionArgs part = a;
  const auto skip = [ first, &a ](const void* rows, std::size_t stride) __attribute__((always_inline)) {
    return static_cast<const std::uint8_t*>(rows) + first * stride * kv_bytes(a.type);
  };
  part.keys = skip(a.keys, a.key_stride);
  part.values = skip(a.values, a.value_stride);
  if (a.type == KvType::i8) {
    part.key_scales = a.key_scales + first;
    part.value_scales = a.value_scales + first;
  }
  part.n = a.n - first < kChunkKeys ? a.n - first : kChunkKeys;
  return part;
}

template <Isa isa>
void attention(const AttentionArgs& a, std::size_t chunk_begin, std::size_t chunk_end, float* partial) {
  const std::size_t stride = attention_chunks(a.n) * partial_floats(a.head_dim);  // of a query
  for (std::size_t chunk = chunk_begin; chunk < chunk_end; ++chunk) {
    AttentionArgs part = chunk_of(a, chunk);
    float* out = partial + chunk * partial_floats(a.head_dim);
    const auto step = [&](auto count) {
      for (; part.queries >= count; part.queries -= count) {
        if (a.type == KvType::f32) attention_chunk<isa, KvType::f32, count>(part, out, stride);
        if (a.type == KvType::f16) attention_chunk<isa, KvType::f16, count>(part, out, stride);
        if (a.type == KvType::i8) attention_chunk<isa, KvType::i8, count>(part, out, stride);
        part.q += count * a.head_dim;
        out += count * stride;
      }
    };
    step(Index<kQueriesAtOnce>{});
    step(Index<2>{});
    step(Index<1>{});
  }
}

template <Isa isa>
void attention_merge(float* partial, std::size_t chunks, std::size_t head_dim, float* out) {
  using F = F32x16<isa>;
  const std::size_t stride = partial_floats(head_dim);
  float largest = -__builtin_inff();
  for (std::size_t c = 0; c < chunks; ++c) {
    const float m = partial[c * stride + head_dim];
    largest = m > largest ? m : largest;
  }
  float total = 0;
  for (std::size_t c = 0; c < chunks; ++c) {
    float* m_and_l = partial + c * stride + head_dim;
    alignas(64) float factor[kLanes];
    exp<isa>(F::broadcast(m_and_l[0] - largest)).store(factor);
    m_and_l[0] = factor[0];
    total += factor[0] * m_and_l[1];
  }
  for (std::size_t i = 0; i < head_dim; i += kLanes) {
    const std::size_t count = head_dim - i < kLanes ? head_dim - i : kLanes;
    F sum = F::zero();
    for (std::size_t c = 0; c < chunks; ++c) {
      const float* o = partial + c * stride;
      const F value = count == kLanes ? F::load(o + i) : load_first<isa>(o + i, count);
      sum = sum + F::broadcast(o[head_dim]) * value;
    }
    sum = sum / F::broadcast(total);
    if (count == kLanes) {
      sum.store(out + i);
    } else {
      store_first<isa>(sum, out + i, count);
    }
  }
}

}  // namespace sterna::kernels
