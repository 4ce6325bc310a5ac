// The graph: what happens to a batch of tokens between ids and logits, for every architecture and for ternary
// and dense matrices alike. Only this file knows the order.
#pragma once

#include <cstddef>
#include <span>

#include "kernels/registry.h"
#include "runtime/activations.h"
#include "runtime/config.h"
#include "runtime/kv_cache.h"
#include "runtime/profile.h"
#include "runtime/thread_pool.h"
#include "runtime/tokenizer/tokenizer.h"
#include "runtime/weights.h"

namespace sterna::runtime {

// What a caller looks at: the `top` largest logits and those that equal the smallest of them, so that others
// may be -infinity; 0: all.
struct LogitsNeed {
  std::size_t top = 0;
};

struct ForwardContext {
  const ModelConfig& config;
  const Weights& weights;
  const kernels::Kernels& kernels;
  ThreadPool& pool;
  Activations& act;
  KvCache& cache;
  Profile* profile = nullptr;  // filled if there
};

// act.x = embedding rows of `ids` (at most act.batch), and the rotary tables for positions
// position..position+n-1. An error when the rows are in the file and cannot be read; the same for head().
Status embed(ForwardContext& c, std::span<const TokenId> ids, std::size_t position);

// One block on act.x [tokens, hidden] in place; keys and values of the tokens go into the cache at
// `position`.
void transformer_block(ForwardContext& c, std::size_t layer, std::size_t tokens, std::size_t position);

// act.normed = final norm of rows [first, tokens) of act.x, act.logits [tokens - first, vocab] = the head on
// them, of which less than all may be computed as `need` says when it is one row.
Status head(ForwardContext& c, std::size_t first, std::size_t tokens, LogitsNeed need);

}  // namespace sterna::runtime
