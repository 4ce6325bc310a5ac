#include "convert/calibrate/rotated_block.h"

#include "convert/graph/load.h"
#include "kernels/rotate/factors.h"

namespace sterna::convert {
namespace {

std::shared_ptr<const Rotation> rotation_for(std::size_t family, std::size_t columns) {
  auto rotation = std::make_shared<Rotation>();
  rotation->block = columns & (~columns + 1);
  rotation->seed = static_cast<std::uint32_t>(family) + 1;
  if (rotation->block < 2) return nullptr;
  rotation->factors.resize(columns);
  kernels::fill_rotation(rotation->seed, rotation->block, rotation->factors);
  return rotation;
}

}  // namespace

Rotations input_rotations(const BlockGraph& graph) {
  Rotations rotations;
  for (std::size_t family = 0; family < kFamilies; ++family)
    rotations[family] = rotation_for(family, graph.columns(static_cast<Family>(family)));
  return rotations;
}

Result<BlockWeights> load_rotated_block(const Checkpoint& checkpoint, const HfModel& model, std::size_t layer,
                                        const BlockGraph& graph, const Rotations& rotations,
                                        runtime::ThreadPool& pool) {
  STERNA_TRY(BlockWeights block, load_block(checkpoint, model, layer));
  for (const runtime::Role role : kLinearRoles) {
    const Rotation* rotation = rotations[static_cast<std::size_t>(family_of(role))].get();
    DenseLinear& linear = linear_of(block, role);
    // W' = W R: a row of it is R^T w, what becomes of an input.
    pool.run(linear.rows, 64, [&](std::size_t begin, std::size_t end, std::size_t) {
      graph.rotate(rotation, linear.columns, end - begin, linear.weight.data() + begin * linear.columns);
    });
  }
  block.rotations = rotations;
  return block;
}

}  // namespace sterna::convert
