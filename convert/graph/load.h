// A block's weights from a checkpoint, as floats.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <vector>

#include "convert/checkpoint.h"
#include "convert/graph/block.h"
#include "convert/hf_config.h"
#include "runtime/result.h"
#include "runtime/tensor_list.h"
#include "runtime/tokenizer/tokenizer.h"

namespace sterna::convert {

// The linears of a block, in the order in which lists of them are kept.
inline constexpr runtime::Role kLinearRoles[] = {runtime::Role::q,   runtime::Role::k,    runtime::Role::v,
                                                 runtime::Role::o,   runtime::Role::gate, runtime::Role::up,
                                                 runtime::Role::down};
std::size_t linear_index(runtime::Role role);  // its place there
// Where a tensor of a block belongs, for the roles of linears.
DenseLinear& linear_of(BlockWeights& block, runtime::Role role);
// A gain or a bias.
std::vector<float>& vector_in(BlockWeights& block, const runtime::TensorSpec& spec);
const std::vector<float>& vector_in(const BlockWeights& block, const runtime::TensorSpec& spec);

// Float weights as stored (biases times bias_factor()), without rotation; errors for NaN and infinity, with
// their place.
Result<BlockWeights> load_block(const Checkpoint& checkpoint, const HfModel& model, std::size_t layer);

// The same without the linears' weights.
Result<BlockWeights> load_block_vectors(const Checkpoint& checkpoint, const HfModel& model,
                                        std::size_t layer);

// A vector or matrix outside of the blocks: the embedding, the head, the final norm; errors for NaN and
// infinity.
Result<std::vector<float>> load_floats(const Checkpoint& checkpoint, const HfModel& model,
                                       const runtime::TensorSpec& spec);
Result<std::vector<float>> load_floats(const Checkpoint& checkpoint, const HfModel& model,
                                       runtime::Role role);
// The rows of the head, which may be those of the embedding.
Result<std::vector<float>> load_head(const Checkpoint& checkpoint, const HfModel& model);

// Reads row [hidden] of a token's embedding when it is asked for; errors for NaN and infinity.
using EmbeddingRow = std::function<Status(runtime::TokenId id, std::span<float> row)>;
Result<EmbeddingRow> embedding_rows(const Checkpoint& checkpoint, const HfModel& model);

}  // namespace sterna::convert
