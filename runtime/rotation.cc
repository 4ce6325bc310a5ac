#include "runtime/rotation.h"

#include <utility>

#include "kernels/rotate/factors.h"
#include "runtime/aligned_buffer.h"

namespace sterna::runtime {
namespace {

std::string described(const TensorDescriptor& d) {
  if (d.rotation_block == 0) return "none";
  return fmt::format("blocks of {}, seed {}", d.rotation_block, d.rotation_seed);
}

}  // namespace

Status RotationFactors::set(const TensorSpec& spec, std::uint64_t block, std::uint32_t seed,
                            WeightsBuilder& builder, std::vector<std::shared_ptr<void>>& owners) {
  const float*& factors = arrays_[{spec.columns, block, seed}];
  if (factors == nullptr) {
    STERNA_TRY(auto buffer, AlignedBuffer<float>::create(spec.columns, "rotations"));
    kernels::fill_rotation(seed, block, buffer.span());
    auto owner = std::make_shared<AlignedBuffer<float>>(std::move(buffer));
    factors = owner->data();
    owners.push_back(std::move(owner));
  }
  builder.set_rotation(spec, factors, block, seed);
  return {};
}

Status check_rotations(const StoredModel& model, const std::string& where) {
  if (model.config.linear_norms) return {};
  const StoredModel::Tensor* last = nullptr;  // ternary matrix; those of one input follow each other
  for (const StoredModel::Tensor& t : model.tensors) {
    if (!is_ternary(t.descriptor.layout)) continue;
    const TensorDescriptor& d = t.descriptor;
    if (last != nullptr && last->spec.layer == t.spec.layer &&
        family_of(last->spec.role) == family_of(t.spec.role) &&
        (last->descriptor.rotation_block != d.rotation_block ||
         last->descriptor.rotation_seed != d.rotation_seed)) {
      return fail(
          "{}: tensors '{}' and '{}' have the same input, but rotations of it that differ ({}; {}); "
          "convert the model again",
          where, last->spec.name, t.spec.name, described(last->descriptor), described(d));
    }
    last = &t;
  }
  return {};
}

}  // namespace sterna::runtime
