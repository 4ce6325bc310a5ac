// A block's weights from a checkpoint, as floats.
#pragma once

#include <cstddef>

#include "convert/checkpoint.h"
#include "convert/graph/block.h"
#include "convert/hf_config.h"
#include "runtime/result.h"
#include "runtime/tensor_list.h"

namespace sterna::convert {

// Where a tensor of a block belongs, for the roles of linears.
DenseLinear& linear_of(BlockWeights& block, runtime::Role role);
Family family_of(runtime::Role role);

// Float weights as stored, without rotation; errors for NaN and infinity, with their place.
Result<BlockWeights> load_block(const Checkpoint& checkpoint, const HfModel& model, std::size_t layer);

// A vector or matrix outside of the blocks: the embedding, the head, the final norm.
Result<std::vector<float>> load_floats(const Checkpoint& checkpoint, const HfModel& model,
                                       const runtime::TensorSpec& spec);

}  // namespace sterna::convert
