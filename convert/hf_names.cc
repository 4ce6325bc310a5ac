#include "convert/hf_names.h"

#include <algorithm>
#include <set>
#include <string_view>

namespace sterna::convert {
namespace {

using runtime::Part;
using runtime::Role;
using runtime::TensorSpec;

const char* module_suffix(Role role) {
  switch (role) {
    case Role::token_embedding:
      return "model.embed_tokens";
    case Role::output:
      return "lm_head";
    case Role::output_norm:
      return "model.norm";
    case Role::attention_norm:
      return "input_layernorm";
    case Role::q:
      return "self_attn.q_proj";
    case Role::k:
      return "self_attn.k_proj";
    case Role::v:
      return "self_attn.v_proj";
    case Role::q_norm:
      return "self_attn.q_norm";
    case Role::k_norm:
      return "self_attn.k_norm";
    case Role::attention_sub_norm:
      return "self_attn.attn_sub_norm";
    case Role::o:
      return "self_attn.o_proj";
    case Role::ffn_norm:
      return "post_attention_layernorm";
    case Role::gate:
      return "mlp.gate_proj";
    case Role::up:
      return "mlp.up_proj";
    case Role::ffn_sub_norm:
      return "mlp.ffn_sub_norm";
    case Role::down:
      return "mlp.down_proj";
  }
  return "?";
}

std::string in_layer(const TensorSpec& spec, const char* suffix) {
  return spec.layer < 0 ? std::string(suffix) : fmt::format("model.layers.{}.{}", spec.layer, suffix);
}

// Buffers that old versions of transformers saved and that are computed from the configuration.
bool is_buffer(std::string_view name) {
  return name.ends_with(".rotary_emb.inv_freq") || name.ends_with(".rotary_emb.cos_cached") ||
         name.ends_with(".rotary_emb.sin_cached");
}

std::string shape_text(const TensorSpec& spec) {
  return spec.is_vector() ? fmt::format("[{}]", spec.columns)
                          : fmt::format("[{}, {}]", spec.rows, spec.columns);
}

bool has_shape(const StoredTensor& tensor, std::uint64_t rows, const TensorSpec& spec) {
  if (spec.is_vector()) return tensor.shape.size() == 1 && tensor.shape[0] == spec.columns;
  return tensor.shape.size() == 2 && tensor.shape[0] == rows && tensor.shape[1] == spec.columns;
}

// A packed linear has four rows to a byte; transformers also saves the unpacked trits of autobitlinear as
// floats.
Status check_packed(const std::string& path, const TensorSpec& spec, TrainedForm form,
                    const StoredTensor& tensor) {
  const bool unpacked = form == TrainedForm::packed_direct && is_float(tensor.dtype);
  const std::uint64_t rows = unpacked ? spec.rows : (std::uint64_t{spec.rows} + 3) / 4;
  if (!unpacked && tensor.dtype != DType::u8) {
    return fail(
        "{}: tensor '{}' is {}, but quantization_config says that it is packed (U8): master weights need "
        "linear_class autobitlinear and quantization_mode online",
        path, tensor.name, dtype_name(tensor.dtype));
  }
  if (has_shape(tensor, rows, spec)) return {};
  return fail("{}: tensor '{}' is {}, config.json implies [{}, {}]", path, tensor.name, tensor.describe(),
              rows, spec.columns);
}

// Equal copies are common in converted checkpoints. Different ones: releases of transformers disagree on
// which one to use.
Status check_second_head(const Checkpoint& checkpoint, const StoredTensor& embedding,
                         const StoredTensor& head) {
  constexpr std::uint64_t kBytes = 1 << 20;
  bool equal = embedding.dtype == head.dtype && embedding.shape == head.shape;
  const std::uint64_t row_bytes =
      equal ? std::max<std::uint64_t>(1, head.bytes / std::max<std::uint64_t>(1, head.rows())) : 1;
  const std::uint64_t step = std::max<std::uint64_t>(1, kBytes / row_bytes);
  for (std::uint64_t row = 0; equal && row < head.rows(); row += step) {
    const std::uint64_t end = std::min(head.rows(), row + step);
    std::vector<std::byte> a((end - row) * row_bytes);
    std::vector<std::byte> b(a.size());
    STERNA_CHECK(checkpoint.read_rows(embedding, row, end, a));
    STERNA_CHECK(checkpoint.read_rows(head, row, end, b));
    equal = a == b;
  }
  if (equal) return {};
  return fail(
      "{}: config.json ties the head to the embedding, but '{}' differs from '{}': set tie_word_embeddings "
      "to "
      "false, or remove '{}'",
      checkpoint.path_of(head), head.name, embedding.name, head.name);
}

Error unexpected(const Checkpoint& checkpoint, const std::string& name) {
  const StoredTensor& tensor = *checkpoint.find(name);
  const char* hint = "it would be left out and change the result";
  if (name.ends_with(".weight_scale")) hint = "config.json has no quantization_config for it";
  if (name.ends_with(".bias")) hint = "config.json says that there are no such biases";
  return fail("{}: unexpected tensor '{}' {}: {}", checkpoint.path_of(tensor), name, tensor.describe(), hint);
}

}  // namespace

std::string hf_module(const TensorSpec& spec) { return in_layer(spec, module_suffix(spec.role)); }

std::vector<std::string> hf_names(const HfModel& model, const TensorSpec& spec) {
  const std::string module = hf_module(spec);
  if (spec.part == Part::bias) return {module + ".bias"};
  if (spec.part == Part::norm) return {module + ".rms_norm.weight", module + ".norm.weight"};
  std::vector<std::string> names = {module + ".weight"};
  // 1bitLLM's names.
  if (spec.role == Role::attention_sub_norm)
    names.push_back(in_layer(spec, "self_attn.inner_attn_ln.weight"));
  if (spec.role == Role::ffn_sub_norm) names.push_back(in_layer(spec, "mlp.ffn_layernorm.weight"));
  if (spec.role == Role::token_embedding && model.config.tied_head) names.emplace_back("lm_head.weight");
  return names;
}

Result<const StoredTensor*> find_tensor(const Checkpoint& checkpoint, const HfModel& model,
                                        const TensorSpec& spec) {
  const std::vector<std::string> names = hf_names(model, spec);
  for (const std::string& name : names) {
    if (const StoredTensor* tensor = checkpoint.find(name)) return tensor;
  }
  const char* hint = spec.role == Role::output ? " (tie_word_embeddings is not true in config.json)" : "";
  return fail(
      "{}: tensor '{}' is missing{}: the checkpoint is incomplete or config.json does not belong to it",
      checkpoint.directory(), fmt::join(names, "' or '"), hint);
}

bool is_trained_linear(const HfModel& model, const TensorSpec& spec) {
  return spec.is_linear() && model.quantization.is_trained(hf_module(spec));
}

Status check_tensor(const Checkpoint& checkpoint, const HfModel& model, const TensorSpec& spec,
                    const StoredTensor& tensor) {
  const std::string& path = checkpoint.path_of(tensor);
  const TrainedForm form = model.quantization.form;
  if (is_trained_linear(model, spec) && form != TrainedForm::master_absmean) {
    return check_packed(path, spec, form, tensor);
  }
  if (spec.is_embedding() && tensor.shape.size() == 2 && tensor.shape[0] != spec.rows) {
    return fail("{}: tensor '{}' has {} rows, but config.json says vocab_size {}", path, tensor.name,
                tensor.shape[0], spec.rows);
  }
  if (!has_shape(tensor, spec.rows, spec)) {
    return fail("{}: tensor '{}' is {}, config.json implies {}", path, tensor.name, tensor.describe(),
                shape_text(spec));
  }
  if (is_float(tensor.dtype)) return {};
  return fail("{}: tensor '{}' is {}, a float type is expected: {}", path, tensor.name,
              dtype_name(tensor.dtype),
              tensor.dtype == DType::u8 ? "config.json has no quantization_config for packed weights"
                                        : "save the model as BF16, F16 or F32");
}

Result<const StoredTensor*> find_weight_scale(const Checkpoint& checkpoint, const TensorSpec& spec) {
  const std::string name = hf_module(spec) + ".weight_scale";
  const StoredTensor* tensor = checkpoint.find(name);
  if (tensor == nullptr) {
    return fail("{}: tensor '{}' is missing: packed weights have no meaning without it",
                checkpoint.directory(), name);
  }
  if (!is_float(tensor->dtype) || tensor->rows() != 1 || tensor->columns() != 1) {
    return fail("{}: tensor '{}' is {}, one float is expected", checkpoint.path_of(*tensor), name,
                tensor->describe());
  }
  return tensor;
}

Status check_tensors(const Checkpoint& checkpoint, const HfModel& model) {
  std::set<std::string> known;
  const StoredTensor* embedding = nullptr;
  for (const TensorSpec& spec : runtime::tensor_list(model.config)) {
    STERNA_TRY(const StoredTensor* tensor, find_tensor(checkpoint, model, spec));
    STERNA_CHECK(check_tensor(checkpoint, model, spec, *tensor));
    known.insert(tensor->name);
    if (spec.role == Role::token_embedding) embedding = tensor;
    if (is_trained_linear(model, spec) && model.quantization.form != TrainedForm::master_absmean) {
      STERNA_TRY(const StoredTensor* scale, find_weight_scale(checkpoint, spec));
      known.insert(scale->name);
    }
  }
  assert(embedding != nullptr);  // every model has one
  for (const std::string& name : checkpoint.names()) {
    if (known.count(name) != 0 || is_buffer(name)) continue;
    if (name != "lm_head.weight" || !model.config.tied_head) return unexpected(checkpoint, name);
    STERNA_CHECK(check_second_head(checkpoint, *embedding, *checkpoint.find(name)));
  }
  return {};
}

}  // namespace sterna::convert
