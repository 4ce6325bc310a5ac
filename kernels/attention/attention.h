// Scaled dot-product attention of one token's query heads that share a key and value head, over n cached
// keys.
//
//     s[j] = scale * sum over i: q[i] * k[j, i]
//     p[j] = exp(s[j] - max s)
//     out[i] = (sum over j, ascending: p[j] * v[j, i]) / (sum over j: p[j])
//
// Sums over i, and the sum of p, go to lane i % 16 (j % 16) in ascending order, then as a tree
// (docs/kernels.md), whatever the number of queries. Keys and values are read and converted once for four
// queries. exp is the polynomial of lanes/math.h, relative error below 2^-23. A NaN in q or a
// key makes all of out NaN, one in a value its own component.
#pragma once

#include <cstddef>

#include "kernels/isa.h"
#include "kernels/kv_store/kv_store.h"

namespace sterna::kernels {

struct AttentionArgs {
  const float* q = nullptr;      // head_dim, query k at q + k * head_dim
  const void* keys = nullptr;    // n rows of head_dim elements of `type`, key_stride elements apart
  const void* values = nullptr;  // the same with value_stride
  KvType type = KvType::f32;
  std::size_t key_stride = 0;
  std::size_t value_stride = 0;
  std::size_t head_dim = 0;  // >= 1, any
  std::size_t n = 0;         // >= 1
  float scale = 1.0f;        // as a rule 1 / sqrt(head_dim)
  float* scores = nullptr;   // scratch, min(queries, 4) * n floats, destroyed
  float* out = nullptr;      // head_dim, query k at out + k * head_dim
  std::size_t queries = 1;   // >= 1
};

template <Isa isa>
void attention(const AttentionArgs& args);

}  // namespace sterna::kernels
