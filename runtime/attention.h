// Attention of a batch of tokens over the cache, shared out between threads.
#pragma once

#include <cstddef>

#include "runtime/forward.h"

namespace sterna::runtime {

// act.attention [tokens, heads * head_dim] from act.q and the cache, which holds the keys and values of these
// tokens already; the first of them is at `position`.
void attend(ForwardContext& c, std::size_t layer, std::size_t tokens, std::size_t position);

}  // namespace sterna::runtime
