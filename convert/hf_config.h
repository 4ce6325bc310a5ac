// What a Hugging Face model directory says about its model besides the weights: config.json,
// generation_config.json, tokenizer_config.json, chat_template.jinja and the added tokens of tokenizer.json.
//
// Missing optional fields mean what they mean to transformers (5.x) for the same architecture; fields that
// contradict each other, and features that would change the result and are not implemented, are errors that
// name file and field.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/config.h"
#include "runtime/result.h"

namespace sterna::convert {

// How the linear layers inside the blocks are stored. The real weight is, with t in {-1, 0, 1}:
//   none            float weights of a float model
//   packed_direct   uint8 of four t, weight = t * weight_scale        (autobitlinear, offline)
//   packed_inverse  uint8 of four t, weight = t / weight_scale        (bitlinear)
//   master_absmean  floats w; t = clamp(round(w / m)), weight = t * m, m = mean |w|  (autobitlinear online;
//   1bitLLM)
enum class TrainedForm : std::uint8_t { none, packed_direct, packed_inverse, master_absmean };

const char* trained_form_name(TrainedForm form);

struct Quantization {
  TrainedForm form = TrainedForm::none;
  bool use_rms_norm = false;   // an RMSNorm on the input of every converted linear
  float rms_norm_eps = 1e-6F;  // of that norm
  // Patterns of modules that stay float: a module is left alone when its name begins with a pattern up to a
  // dot, or ends with one. lm_head always stays float.
  std::vector<std::string> modules_to_not_convert;

  // Whether this model stores the linear `module` ("model.layers.0.mlp.up_proj") in `form`; false for float
  // models.
  [[nodiscard]] bool is_trained(std::string_view module) const;
};

struct HfModel {
  runtime::ModelConfig config;  // validated
  Quantization quantization;
  std::string architecture;   // "BitNetForCausalLM"
  std::string chat_template;  // Jinja source; empty: none
  std::string bos_token;      // text; empty: not named
  std::string eos_token;
  std::optional<bool> add_bos;  // tokenizer_config.json: add_bos_token, add_eos_token
  std::optional<bool> add_eos;
};

// The texts of the files; empty: the file is absent. Only `config` is needed.
struct HfTexts {
  std::string directory = {};  // for messages and the model's name
  std::string config = {};
  std::string generation_config = {};
  std::string tokenizer_config = {};
  std::string tokenizer = {};      // tokenizer.json
  std::string chat_template = {};  // chat_template.jinja
};

Result<HfModel> parse_hf_model(const HfTexts& texts);
Result<HfModel> read_hf_model(const std::string& directory);

// tokenizer.json as it is; the error says what to do when only tokenizer.model is there.
Result<std::string> read_tokenizer_json(const std::string& directory);

}  // namespace sterna::convert
