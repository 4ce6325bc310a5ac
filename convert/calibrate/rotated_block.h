// A block of the checkpoint in the basis in which its linears are fitted.
#pragma once

#include <array>
#include <cstddef>
#include <memory>

#include "convert/checkpoint.h"
#include "convert/graph/block.h"
#include "convert/hf_config.h"
#include "runtime/result.h"
#include "runtime/thread_pool.h"

namespace sterna::convert {

using Rotations = std::array<std::shared_ptr<const Rotation>, kFamilies>;  // none: the basis stays

// Of every family's input; the same in all layers. The block is the largest power of two that divides the
// columns.
Rotations input_rotations(const BlockGraph& graph);

// Float weights W' = W R. Errors: those of load_block().
Result<BlockWeights> load_rotated_block(const Checkpoint& checkpoint, const HfModel& model, std::size_t layer,
                                        const BlockGraph& graph, const Rotations& rotations,
                                        runtime::ThreadPool& pool);

}  // namespace sterna::convert
