#include "convert/graph/load.h"

#include <algorithm>
#include <cmath>

#include "convert/hf_names.h"
#include "convert/trained.h"

namespace sterna::convert {

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

const std::vector<float>& vector_in(const BlockWeights& block, const TensorSpec& spec) {
  return vector_in(const_cast<BlockWeights&>(block), spec);  // NOLINT(*-const-cast): it does not change it
}

std::size_t linear_index(Role role) {
  return static_cast<std::size_t>(std::ranges::find(kLinearRoles, role) - std::begin(kLinearRoles));
}

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

Result<std::vector<float>> load_floats(const Checkpoint& checkpoint, const HfModel& model,
                                       const TensorSpec& spec) {
  STERNA_TRY(const StoredTensor* tensor, find_tensor(checkpoint, model, spec));
  STERNA_TRY(std::vector<float> values, checkpoint.read_floats(*tensor));
  STERNA_CHECK(checkpoint.check_finite(*tensor, 0, values));
  return values;
}

namespace {

TensorSpec spec_of(const HfModel& model, Role role) {
  const std::vector<TensorSpec> specs = runtime::tensor_list(model.config);
  return *std::ranges::find(specs, role, &TensorSpec::role);
}

}  // namespace

Result<std::vector<float>> load_floats(const Checkpoint& checkpoint, const HfModel& model, Role role) {
  return load_floats(checkpoint, model, spec_of(model, role));
}

Result<std::vector<float>> load_head(const Checkpoint& checkpoint, const HfModel& model) {
  return load_floats(checkpoint, model, model.config.tied_head ? Role::token_embedding : Role::output);
}

Result<EmbeddingRow> embedding_rows(const Checkpoint& checkpoint, const HfModel& model) {
  STERNA_TRY(const StoredTensor* tensor,
             find_tensor(checkpoint, model, spec_of(model, Role::token_embedding)));
  return EmbeddingRow([&checkpoint, tensor](runtime::TokenId id, std::span<float> row) -> Status {
    const auto at = static_cast<std::uint64_t>(id);
    STERNA_CHECK(checkpoint.read_floats(*tensor, at, at + 1, row));
    return checkpoint.check_finite(*tensor, at, row);
  });
}

Result<BlockWeights> load_block(const Checkpoint& checkpoint, const HfModel& model, std::size_t layer) {
  STERNA_TRY(BlockWeights block, load_block_vectors(checkpoint, model, layer));
  for (const Role role : kLinearRoles) {
    DenseLinear& linear = linear_of(block, role);
    const TensorSpec spec{role,
                          Part::weight,
                          static_cast<std::int32_t>(layer),
                          static_cast<std::uint32_t>(linear.rows),
                          static_cast<std::uint32_t>(linear.columns),
                          runtime::tensor_name(role, Part::weight, static_cast<std::int32_t>(layer))};
    STERNA_TRY(linear.weight, load_floats(checkpoint, model, spec));
  }
  return block;
}

Result<BlockWeights> load_block_vectors(const Checkpoint& checkpoint, const HfModel& model,
                                        std::size_t layer) {
  BlockWeights block;
  for (const TensorSpec& spec : runtime::tensor_list(model.config)) {
    if (spec.layer != static_cast<std::int32_t>(layer)) continue;
    if (spec.part == Part::norm) {
      return fail("{}: a model with a norm in every linear layer cannot be fitted to text",
                  checkpoint.directory());
    }
    if (spec.is_vector()) {
      STERNA_TRY(const float factor, bias_factor(checkpoint, model, spec));
      STERNA_TRY(std::vector<float> values, load_floats(checkpoint, model, spec));
      for (float& value : values) value *= factor;
      vector_in(block, spec) = std::move(values);
      continue;
    }
    DenseLinear& linear = linear_of(block, spec.role);
    linear.rows = spec.rows;
    linear.columns = spec.columns;
  }
  return block;
}

}  // namespace sterna::convert
