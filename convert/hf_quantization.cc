#include "convert/hf_quantization.h"

#include <algorithm>
#include <cctype>

#include "convert/hf_fields.h"

namespace sterna::convert {
namespace {

using nlohmann::json;

// transformers matches a pattern as a regular expression from the start of the name up to a dot, or literally
// at the end of the name. Published lists hold plain names only; anything that a literal comparison could get
// wrong is refused.
Status parse_exceptions(const Fields& fields, Quantization& quantization) {
  const json* list = fields.find("modules_to_not_convert");
  if (list == nullptr) return {};
  if (!list->is_array()) return fail("{} is not a list", fields.where("modules_to_not_convert"));
  for (const json& item : *list) {
    if (!item.is_string())
      return fail("{} holds something that is not a string", fields.where("modules_to_not_convert"));
    const auto& pattern = item.get_ref<const std::string&>();
    const bool plain = !pattern.empty() && std::all_of(pattern.begin(), pattern.end(), [](unsigned char c) {
      return std::isalnum(c) != 0 || c == '_' || c == '.' || c == '-';
    });
    if (!plain) {
      return fail("{}: the pattern '{}' is not a plain module name: list the modules one by one",
                  fields.where("modules_to_not_convert"), pattern);
    }
    quantization.modules_to_not_convert.push_back(pattern);
  }
  return {};
}

Result<TrainedForm> parse_form(const Fields& fields) {
  for (const char* old : {"online_quantization", "offline_quantization"}) {
    if (fields.has(old)) {
      return fail(
          "{} is from an early version of transformers: replace it by linear_class and quantization_mode",
          fields.where(old));
    }
  }
  STERNA_TRY(const auto linear_class, fields.text("linear_class"));
  STERNA_TRY(const auto mode, fields.text("quantization_mode"));
  const std::string name = linear_class.value_or("bitlinear");
  if (name != "bitlinear" && name != "autobitlinear") {
    return fail("{} is '{}', expected bitlinear or autobitlinear", fields.where("linear_class"), name);
  }
  if (mode && *mode != "online" && *mode != "offline") {
    return fail("{} is '{}', expected online or offline", fields.where("quantization_mode"), *mode);
  }
  const bool online = mode.value_or("offline") == "online";
  if (name == "autobitlinear") return online ? TrainedForm::master_absmean : TrainedForm::packed_direct;
  if (online) {
    return fail(
        "{} is 'online', which linear_class 'bitlinear' does not have: set linear_class to autobitlinear or "
        "quantization_mode to offline",
        fields.where("quantization_mode"));
  }
  return TrainedForm::packed_inverse;
}

Result<Quantization> parse_bits(const Fields& fields) {
  STERNA_TRY(const auto weight_bits, fields.u32("weight_bits"));
  STERNA_TRY(const auto input_bits, fields.u32("input_bits"));
  if (weight_bits.value_or(1) != 1)
    return fail("{} is {}, only 1 is supported", fields.where("weight_bits"), *weight_bits);
  if (input_bits.value_or(8) != 8)
    return fail("{} is {}, only 8 is supported", fields.where("input_bits"), *input_bits);
  Quantization quantization;
  quantization.form = TrainedForm::master_absmean;
  return quantization;
}

}  // namespace

const char* trained_form_name(TrainedForm form) {
  switch (form) {
    case TrainedForm::none:
      return "float";
    case TrainedForm::packed_direct:
      return "packed, weight = t * weight_scale";
    case TrainedForm::packed_inverse:
      return "packed, weight = t / weight_scale";
    case TrainedForm::master_absmean:
      return "master weights, absmean";
  }
  return "?";
}

bool Quantization::is_trained(std::string_view module) const {
  if (form == TrainedForm::none) return false;
  return std::none_of(
      modules_to_not_convert.begin(), modules_to_not_convert.end(), [&](const std::string& pattern) {
        if (module.ends_with(pattern)) return true;
        return module.starts_with(pattern) && (pattern.back() == '.' || module[pattern.size()] == '.');
      });
}

Result<Quantization> parse_quantization(const json& config, const std::string& path, bool bits_in_config) {
  const Fields top(config, path);
  if (top.has("compression_config")) {
    return fail("{}: compressed checkpoints are not supported: save the model unquantised",
                top.where("compression_config"));
  }
  STERNA_TRY(const json* object, top.object("quantization_config"));
  if (object == nullptr) return bits_in_config ? parse_bits(top) : Quantization{};

  const Fields fields(*object, path, "quantization_config.");
  STERNA_TRY(const auto method, fields.text("quant_method"));
  if (!method) return fail("{} is missing", fields.where("quant_method"));
  if (*method != "bitnet") {
    return fail("{} is '{}', only bitnet is supported: save the model unquantised and convert that",
                fields.where("quant_method"), *method);
  }
  Quantization quantization;
  STERNA_TRY(quantization.form, parse_form(fields));
  STERNA_TRY(quantization.use_rms_norm, fields.boolean_or("use_rms_norm", false));
  STERNA_TRY(const auto eps, fields.number("rms_norm_eps"));
  quantization.rms_norm_eps = static_cast<float>(eps.value_or(1e-6));
  STERNA_CHECK(parse_exceptions(fields, quantization));
  return quantization;
}

}  // namespace sterna::convert
