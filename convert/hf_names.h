// Where the tensors of a model lie in a Hugging Face checkpoint.
#pragma once

#include <string>
#include <vector>

#include "convert/checkpoint.h"
#include "convert/hf_config.h"
#include "runtime/result.h"
#include "runtime/tensor_list.h"

namespace sterna::convert {

// "model.layers.3.self_attn.q_proj": the module of a tensor, as modules_to_not_convert means it.
std::string hf_module(const runtime::TensorSpec& spec);

// Every name that the tensor may have, the usual one first (sub-norms and input norms have two).
std::vector<std::string> hf_names(const HfModel& model, const runtime::TensorSpec& spec);

// The tensor, or an error that names what was looked for.
Result<const StoredTensor*> find_tensor(const Checkpoint& checkpoint, const HfModel& model,
                                        const runtime::TensorSpec& spec);

// Whether this tensor is a linear that the model stores as trained trits.
bool is_trained_linear(const HfModel& model, const runtime::TensorSpec& spec);

// Whether one tensor has the shape and dtype that the configuration implies.
Status check_tensor(const Checkpoint& checkpoint, const HfModel& model, const runtime::TensorSpec& spec,
                    const StoredTensor& tensor);

// The scale of a packed linear: one float.
Result<const StoredTensor*> find_weight_scale(const Checkpoint& checkpoint, const runtime::TensorSpec& spec);

// Every tensor that the configuration implies is there with the right shape and dtype, and none is left over
// that would change the result (a bias that config.json does not mention, layers beyond num_hidden_layers, a
// second head that differs from the tied embedding).
Status check_tensors(const Checkpoint& checkpoint, const HfModel& model);

}  // namespace sterna::convert
