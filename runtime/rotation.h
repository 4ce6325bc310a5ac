// Input rotations of ternary matrices (kernels/rotate/rotate.h) on their way from a file into Weights.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "runtime/model.h"
#include "runtime/model_file.h"
#include "runtime/result.h"

namespace sterna::runtime {

// The factors of kernels::rotate, one array for all matrices with these columns, block and seed.
class RotationFactors {
 public:
  // `owners` keep what the builder's linear points to. Errors: no memory.
  Status set(const TensorSpec& spec, std::uint64_t block, std::uint32_t seed, WeightsBuilder& builder,
             std::vector<std::shared_ptr<void>>& owners);

 private:
  std::map<std::tuple<std::uint64_t, std::uint64_t, std::uint32_t>, const float*> arrays_;
};

// Ternary matrices of one input (q, k and v; gate and up) must want the same rotation of it, which is
// computed once. Linears with norms of their own have an input each. `where` names the file in the message.
Status check_rotations(const StoredModel& model, const std::string& where);

}  // namespace sterna::runtime
