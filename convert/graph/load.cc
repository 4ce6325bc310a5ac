#include "convert/graph/load.h"

#include <cmath>

#include "convert/hf_names.h"

namespace sterna::convert {
namespace {

using runtime::Part;
using runtime::Role;
using runtime::TensorSpec;

std::vector<float>& vector_in(BlockWeights& block, const TensorSpec& spec) {
  if (spec.part == Part::bias) return linear_of(block, spec.role).bias;
  switch (spec.role) {
    case Role::attention_norm:
      return block.attention_norm;
    case Role::q_norm:
      return block.q_norm;
    case Role::k_norm:
      return block.k_norm;
    case Role::attention_sub_norm:
      return block.attention_sub_norm;
    case Role::ffn_norm:
      return block.ffn_norm;
    default:
      assert(spec.role == Role::ffn_sub_norm);
      return block.ffn_sub_norm;
  }
}

}  // namespace

DenseLinear& linear_of(BlockWeights& block, Role role) {
  switch (role) {
    case Role::q:
      return block.q;
    case Role::k:
      return block.k;
    case Role::v:
      return block.v;
    case Role::o:
      return block.o;
    case Role::gate:
      return block.gate;
    case Role::up:
      return block.up;
    default:
      assert(role == Role::down);
      return block.down;
  }
}

Family family_of(Role role) {
  switch (role) {
    case Role::q:
    case Role::k:
    case Role::v:
      return Family::qkv;
    case Role::o:
      return Family::o;
    case Role::gate:
    case Role::up:
      return Family::gate_up;
    default:
      assert(role == Role::down);
      return Family::down;
  }
}

Result<std::vector<float>> load_floats(const Checkpoint& checkpoint, const HfModel& model,
                                       const TensorSpec& spec) {
  STERNA_TRY(const StoredTensor* tensor, find_tensor(checkpoint, model, spec));
  STERNA_TRY(std::vector<float> values, checkpoint.read_floats(*tensor));
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (std::isfinite(values[i])) continue;
    return fail("{}: tensor '{}' holds {} at row {}, column {}: the checkpoint is damaged",
                checkpoint.path_of(*tensor), tensor->name, values[i], i / spec.columns, i % spec.columns);
  }
  return values;
}

Result<BlockWeights> load_block(const Checkpoint& checkpoint, const HfModel& model, std::size_t layer) {
  BlockWeights block;
  for (const TensorSpec& spec : runtime::tensor_list(model.config)) {
    if (spec.layer != static_cast<std::int32_t>(layer)) continue;
    if (spec.part == Part::norm) {
      return fail("{}: a model with a norm in every linear layer cannot be calibrated",
                  checkpoint.directory());
    }
    STERNA_TRY(std::vector<float> values, load_floats(checkpoint, model, spec));
    if (spec.is_vector()) {
      vector_in(block, spec) = std::move(values);
      continue;
    }
    DenseLinear& linear = linear_of(block, spec.role);
    linear.rows = spec.rows;
    linear.columns = spec.columns;
    linear.weight = std::move(values);
  }
  return block;
}

}  // namespace sterna::convert
