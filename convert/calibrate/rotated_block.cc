#include "convert/calibrate/rotated_block.h"

#include "convert/graph/load.h"

namespace sterna::convert {
Rotations input_rotations(const BlockGraph& graph) {
  Rotations rotations;
  for (std::size_t family = 0; family < kFamilies; ++family) {
    const std::size_t columns = graph.columns(static_cast<Family>(family));
    const std::size_t largest_power_of_two = columns & (~columns + 1);
    rotations[family] = make_rotation(columns, largest_power_of_two, static_cast<std::uint32_t>(family) + 1);
  }
  return rotations;
}

Result<BlockWeights> load_rotated_block(const Checkpoint& checkpoint, const HfModel& model, std::size_t layer,
                                        const BlockGraph& graph, const Rotations& rotations,
                                        runtime::ThreadPool& pool) {
  STERNA_TRY(BlockWeights block, load_block(checkpoint, model, layer));
  for (const runtime::Role role : kLinearRoles) {
    const Rotation* rotation = rotations[static_cast<std::size_t>(family_of(role))].get();
    if (rotation == nullptr) continue;
    DenseLinear& linear = linear_of(block, role);
    // W' = W R: a row of it is R^T w, what becomes of an input.
    pool.run(linear.rows, 64, [&](std::size_t begin, std::size_t end, std::size_t) {
      rotate(graph.kernels(), *rotation, end - begin, linear.weight.data() + begin * linear.columns);
    });
  }
  block.rotations = rotations;
  return block;
}

}  // namespace sterna::convert
