// Scaled dot-product attention of one token's query heads that share a key and value head, over n cached
// keys, in chunks of kChunkKeys keys, which may be done in parallel:
//
//     s[j] = scale * sum over i: q[i] * k[j, i]
//     m_c = max s, p[j] = exp(s[j] - m_c), l_c = sum p[j], o_c[i] = sum p[j] * v[j, i]     over the chunk c
//     out[i] = (sum over c: f_c * o_c[i]) / (sum over c: f_c * l_c),  f_c = exp(m_c - max m)
//
// (the online softmax of Milakov and Gimelshein 2018, arXiv 1805.02867, with the chunks merged at the end).
// Sums over i, and l_c, go to lane i % 16 (j % 16) in ascending order, then as a tree (docs/kernels.md);
// those over j for o_c and over c are in ascending order. The number of queries and who computes which chunk
// change nothing. Keys and values are read and converted once for four queries. exp is the polynomial of
// lanes/math.h, relative error below 2^-23.
//
// int8 caches: q is quantised too, as quantize.h has it, and the sum over i is an exact integer (at most 4096
// * 127^2 < 2^27):
//     s[j] = (scale * q_scale) * (float(sum) * key_scales[j]),  o_c[i] = sum (p[j] * value_scales[j]) * v[j,
//     i]
//
// A NaN in q or a key makes all of out NaN, one in a value its own component, or with an int8 cache all.
#pragma once

#include <cstddef>

#include "kernels/isa.h"
#include "kernels/kv_store/kv_store.h"

namespace sterna::kernels {

inline constexpr std::size_t kChunkKeys = 256;
inline constexpr std::size_t kMaxHeadDim = 4096;

struct AttentionArgs {
  const float* q = nullptr;             // head_dim, query k at q + k * head_dim
  const void* keys = nullptr;           // n rows of kv_store, key_stride elements apart
  const void* values = nullptr;         // the same with value_stride
  const float* key_scales = nullptr;    // n, of an int8 cache
  const float* value_scales = nullptr;  // n, of an int8 cache
  KvType type = KvType::f32;
  std::size_t key_stride = 0;  // >= kv_stride(type, head_dim)
  std::size_t value_stride = 0;
  std::size_t head_dim = 0;  // 1 .. kMaxHeadDim
  std::size_t n = 0;         // >= 1
  float scale = 1.0f;        // as a rule 1 / sqrt(head_dim)
  std::size_t queries = 1;   // >= 1
};

[[gnu::always_inline]] constexpr std::size_t attention_chunks(std::size_t n) {
  return round_up(n, kChunkKeys) / kChunkKeys;
}

// Floats that a chunk gives for one query: o_c, m_c, l_c.
[[gnu::always_inline]] constexpr std::size_t partial_floats(std::size_t head_dim) { return head_dim + 2; }

// The chunks chunk_begin .. chunk_end, query k and chunk c at partial + (k * attention_chunks(n) + c) *
// partial_floats(head_dim).
template <Isa isa>
void attention(const AttentionArgs& args, std::size_t chunk_begin, std::size_t chunk_end, float* partial);

// One query's chunks to out [head_dim]; what `partial` holds is lost.
template <Isa isa>
void attention_merge(float* partial, std::size_t chunks, std::size_t head_dim, float* out);

}  // namespace sterna::kernels
