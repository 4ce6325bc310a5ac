#include "convert/hf_config.h"

#include <filesystem>
#include <initializer_list>
#include <optional>
#include <utility>

#include "convert/hf_fields.h"
#include "convert/hf_names.h"
#include "convert/hf_quantization.h"
#include "convert/hf_rope.h"
#include "convert/hf_tokens.h"
#include "convert/json.h"
#include "runtime/file.h"
#include "runtime/tensor_list.h"

namespace sterna::convert {
namespace {

using nlohmann::json;
using runtime::Gate;
using runtime::ModelConfig;

// What an architecture implies when config.json does not say: the defaults of transformers' configuration
// classes (models/*/configuration_*.py), and of 1bitLLM's own code for BitnetForCausalLM.
struct Architecture {
  const char* name;
  const char* model_type;
  const char* other_model_type;  // also accepted, or nullptr
  double theta;
  double norm_eps;
  std::uint32_t kv_heads;  // when the field is absent; 0: as many as heads
  std::uint32_t head_dim;  // when the field is absent; 0: hidden / heads
  Gate gate;
  bool relu2_allowed;
  bool sub_norms;
  bool qk_norm;
  bool reads_attention_bias;  // on q, k, v and o
  bool qkv_bias;              // always
  bool reads_mlp_bias;
  std::uint32_t sliding_window;  // when the field is absent; 0: the architecture has none
  bool bits_in_config;
};

constexpr Architecture kArchitectures[] = {
    {"BitNetForCausalLM", "bitnet", nullptr, 500000.0, 1e-5, 5, 0, Gate::relu2, true, true, false, true,
     false, false, 0, false},
    {"BitnetForCausalLM", "llama", "bitnet", 10000.0, 1e-6, 0, 0, Gate::silu, true, true, false, true, false,
     false, 0, true},
    {"LlamaForCausalLM", "llama", nullptr, 10000.0, 1e-6, 0, 0, Gate::silu, false, false, false, true, false,
     true, 0, false},
    {"MistralForCausalLM", "mistral", nullptr, 10000.0, 1e-6, 8, 0, Gate::silu, false, false, false, false,
     false, false, 4096, false},
    {"Qwen2ForCausalLM", "qwen2", nullptr, 10000.0, 1e-6, 32, 0, Gate::silu, false, false, false, false, true,
     false, 0, false},
    {"Qwen3ForCausalLM", "qwen3", nullptr, 10000.0, 1e-6, 32, 128, Gate::silu, false, false, true, true,
     false, false, 0, false},
};

std::string supported_architectures() {
  std::string list;
  for (const Architecture& a : kArchitectures) list += (list.empty() ? "" : ", ") + std::string(a.name);
  return list;
}

// The class in `architectures` decides; model_type only where there is none, because 1bitLLM's says "llama".
Result<const Architecture*> find_architecture(const Fields& fields) {
  STERNA_TRY(const auto model_type, fields.text("model_type"));
  const json* list = fields.find("architectures");
  if (list != nullptr && !list->is_array()) return fail("{} is not a list", fields.where("architectures"));
  const bool named = list != nullptr && !list->empty();
  if (named && !(*list)[0].is_string())
    return fail("{} holds something that is not a name", fields.where("architectures"));
  if (!named && !model_type) return fail("{} is missing", fields.where("architectures"));
  const std::string name = named ? (*list)[0].get<std::string>() : std::string();

  for (const Architecture& a : kArchitectures) {
    if (named ? name != a.name : (a.bits_in_config || *model_type != a.model_type)) continue;
    if (model_type && *model_type != a.model_type &&
        (a.other_model_type == nullptr || *model_type != a.other_model_type)) {
      return fail("{} is '{}', but architectures says {}: one of them is wrong", fields.where("model_type"),
                  *model_type, name);
    }
    return &a;
  }
  return fail("{} '{}' is not supported (supported: {})",
              fields.where(named ? "architectures" : "model_type"), named ? name : *model_type,
              supported_architectures());
}

Status parse_sizes(const Fields& fields, const Architecture& architecture, ModelConfig& config) {
  STERNA_TRY(config.hidden, fields.required_u32("hidden_size"));
  STERNA_TRY(config.layers, fields.required_u32("num_hidden_layers"));
  STERNA_TRY(config.heads, fields.required_u32("num_attention_heads"));
  STERNA_TRY(config.ffn, fields.required_u32("intermediate_size"));
  STERNA_TRY(config.vocab, fields.required_u32("vocab_size"));
  STERNA_TRY(config.context, fields.required_u32("max_position_embeddings"));
  if (config.heads == 0) return fail("{} is 0", fields.where("num_attention_heads"));

  STERNA_TRY(const auto kv_heads, fields.u32("num_key_value_heads"));
  const bool absent = !kv_heads && !fields.is_null("num_key_value_heads") && architecture.kv_heads != 0;
  config.kv_heads = kv_heads.value_or(absent ? architecture.kv_heads : config.heads);
  if (config.kv_heads == 0) return fail("{} is 0", fields.where("num_key_value_heads"));

  STERNA_TRY(const auto head_dim, fields.u32("head_dim"));
  if (head_dim) {
    config.head_dim = *head_dim;
  } else if (architecture.head_dim != 0 && !fields.is_null("head_dim")) {
    config.head_dim = architecture.head_dim;
  } else if (config.hidden % config.heads != 0) {
    return fail("{} is absent, and hidden_size {} is not a multiple of num_attention_heads {}",
                fields.where("head_dim"), config.hidden, config.heads);
  } else {
    config.head_dim = config.hidden / config.heads;
  }
  // The sub-norm in front of o_proj has hidden_size entries and normalises all heads at once.
  if (architecture.sub_norms && std::uint64_t{config.head_dim} * config.heads != config.hidden) {
    return fail("{} is {}: {} heads of it are not hidden_size {}, which {} needs", fields.where("head_dim"),
                config.head_dim, config.heads, config.hidden, architecture.name);
  }
  return {};
}

Status parse_activation(const Fields& fields, const Architecture& architecture, ModelConfig& config) {
  STERNA_TRY(const auto act, fields.text("hidden_act"));
  config.gate = architecture.gate;
  if (!act) return {};
  if (*act == "silu") {
    config.gate = Gate::silu;
  } else if (*act == "relu2" && architecture.relu2_allowed) {
    config.gate = Gate::relu2;
  } else {
    return fail("{} '{}' is not supported for {} (supported: silu{})", fields.where("hidden_act"), *act,
                architecture.name, architecture.relu2_allowed ? ", relu2" : "");
  }
  return {};
}

Status parse_biases(const Fields& fields, const Architecture& architecture, ModelConfig& config) {
  STERNA_TRY(const bool attention_bias, fields.boolean_or("attention_bias", false));
  STERNA_TRY(const bool mlp_bias, fields.boolean_or("mlp_bias", false));
  if (attention_bias && !architecture.reads_attention_bias && !architecture.qkv_bias) {
    return fail("{} is true, but {} has no such biases", fields.where("attention_bias"), architecture.name);
  }
  if (mlp_bias && !architecture.reads_mlp_bias) {
    return fail("{} is true, but {} has no such biases", fields.where("mlp_bias"), architecture.name);
  }
  config.o_bias = architecture.reads_attention_bias && attention_bias;
  config.qkv_bias = architecture.qkv_bias || config.o_bias;
  config.mlp_bias = mlp_bias;
  return {};
}

// One window for all layers is supported; layers that differ are not.
Status parse_window(const Fields& fields, const Architecture& architecture, ModelConfig& config) {
  STERNA_TRY(const bool use, fields.boolean_or("use_sliding_window", false));
  if (use)
    return fail("{} is true: windows that differ between layers are not supported",
                fields.where("use_sliding_window"));
  if (architecture.sliding_window != 0) {
    STERNA_TRY(const auto window, fields.u32("sliding_window"));
    if (window == 0U) return fail("{} is 0: null means no window", fields.where("sliding_window"));
    config.sliding_window =
        window.value_or(fields.is_null("sliding_window") ? 0 : architecture.sliding_window);
  }
  const json* types = fields.find("layer_types");
  if (types == nullptr) return {};
  if (!types->is_array()) return fail("{} is not a list", fields.where("layer_types"));
  const char* expected = config.sliding_window != 0 ? "sliding_attention" : "full_attention";
  for (const json& type : *types) {
    if (type != expected) {
      return fail("{} holds {}, only {} in every layer is supported here", fields.where("layer_types"),
                  type.dump(-1, ' ', true, json::error_handler_t::replace), expected);
    }
  }
  return {};
}

// Norms of single linears exist where the linear is converted: all of them or none, for the graph's sake.
Status apply_quantization(const Fields& fields, HfModel& model) {
  std::size_t trained = 0;
  std::size_t linears = 0;
  for (const runtime::TensorSpec& spec : runtime::tensor_list(model.config)) {
    if (!spec.is_linear()) continue;
    ++linears;
    if (model.quantization.is_trained(hf_module(spec))) ++trained;
  }
  if (trained == 0) model.quantization.form = TrainedForm::none;
  if (trained == 0 || !model.quantization.use_rms_norm) return {};
  if (trained != linears) {
    return fail("{} leaves {} of {} linears float, which is not supported together with use_rms_norm",
                fields.where("quantization_config.modules_to_not_convert"), linears - trained, linears);
  }
  model.config.linear_norms = true;
  model.config.linear_norm_eps = model.quantization.rms_norm_eps;
  return {};
}

// The directory's name; in a Hugging Face cache (models--ORG--NAME/snapshots/HASH) the model's.
std::string model_name(const std::string& directory) {
  std::filesystem::path path = std::filesystem::path(directory).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();
  if (path.parent_path().filename() == "snapshots") path = path.parent_path().parent_path();
  std::string name = path.filename().string();
  const std::size_t dashes = name.rfind("--");
  return name.starts_with("models--") ? name.substr(dashes + 2) : name;
}

Result<std::string> read_if_there(const std::string& path) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return std::string();
  return runtime::read_text_file(path);
}

}  // namespace

Result<HfModel> parse_hf_model(const HfTexts& texts) {
  const std::string path = texts.directory + "/config.json";
  STERNA_TRY(const json root, parse_json_object(texts.config, path));
  const Fields fields(root, path);
  STERNA_TRY(const Architecture* architecture, find_architecture(fields));
  HfModel model;
  ModelConfig& config = model.config;
  model.architecture = architecture->name;
  config.model_type = architecture->bits_in_config ? "bitnet" : architecture->model_type;
  config.name = model_name(texts.directory);
  config.sub_norms = architecture->sub_norms;
  config.qk_norm = architecture->qk_norm;
  STERNA_CHECK(parse_sizes(fields, *architecture, config));
  STERNA_TRY(const auto eps, fields.number("rms_norm_eps"));
  config.norm_eps = static_cast<float>(eps.value_or(architecture->norm_eps));
  STERNA_TRY(config.tied_head, fields.boolean_or("tie_word_embeddings", false));
  STERNA_CHECK(parse_activation(fields, *architecture, config));
  STERNA_CHECK(parse_biases(fields, *architecture, config));
  STERNA_CHECK(parse_window(fields, *architecture, config));
  STERNA_TRY(config.rope, parse_rope(root, path, architecture->theta, config.context));
  STERNA_TRY(model.quantization, parse_quantization(root, path, architecture->bits_in_config));
  STERNA_CHECK(parse_tokens(texts, root, model));
  // Before the tensors are listed: a damaged number of layers would make a list of that length.
  STERNA_CHECK(runtime::validate(config, path));
  STERNA_CHECK(apply_quantization(fields, model));
  STERNA_CHECK(runtime::validate(config, path));
  return model;
}

Result<HfModel> read_hf_model(const std::string& directory) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(directory, ignored)) return fail("{}: no such directory", directory);
  if (!std::filesystem::exists(directory + "/config.json", ignored)) {
    return fail("{}: config.json is missing: this is not a Hugging Face model directory", directory);
  }
  HfTexts texts;
  texts.directory = directory;
  STERNA_TRY(texts.config, read_if_there(directory + "/config.json"));
  STERNA_TRY(texts.generation_config, read_if_there(directory + "/generation_config.json"));
  STERNA_TRY(texts.tokenizer_config, read_if_there(directory + "/tokenizer_config.json"));
  STERNA_TRY(texts.tokenizer, read_if_there(directory + "/tokenizer.json"));
  STERNA_TRY(texts.chat_template, read_if_there(directory + "/chat_template.jinja"));
  return parse_hf_model(texts);
}

Result<std::string> read_tokenizer_json(const std::string& directory) {
  STERNA_TRY(std::string text, read_if_there(directory + "/tokenizer.json"));
  if (!text.empty()) return text;
  if (std::error_code ignored; std::filesystem::exists(directory + "/tokenizer.model", ignored)) {
    return fail(
        "{}: only tokenizer.model is here, tokenizer.json is needed: save the fast tokenizer "
        "(AutoTokenizer.from_pretrained(..., use_fast=True).save_pretrained(...))",
        directory);
  }
  return fail("{}: tokenizer.json is missing: download it", directory);
}

}  // namespace sterna::convert
