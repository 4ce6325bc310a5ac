#include "convert/hf_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <random>

#include "tests/support/shared_data.h"
#include "tests/support/temp_dir.h"

namespace sterna::convert {
namespace {

using nlohmann::json;
using runtime::Gate;
using runtime::RopeScaling;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::shared_data;
using testing::TempDir;

json llama() {
  return {{"architectures", {"LlamaForCausalLM"}},
          {"model_type", "llama"},
          {"hidden_size", 64},
          {"intermediate_size", 172},
          {"num_hidden_layers", 2},
          {"num_attention_heads", 8},
          {"num_key_value_heads", 4},
          {"vocab_size", 512},
          {"max_position_embeddings", 2048},
          {"hidden_act", "silu"},
          {"tie_word_embeddings", true},
          {"rms_norm_eps", 1e-5}};
}

json of_class(const char* architecture, const char* model_type) {
  json config = llama();
  config["architectures"] = {architecture};
  config["model_type"] = model_type;
  return config;
}

json with(json config, const char* key, json value) {
  config[key] = std::move(value);
  return config;
}

json without(json config, const char* key) {
  config.erase(key);
  return config;
}

json bitnet(json quantization) {
  return with(of_class("BitNetForCausalLM", "bitnet"), "quantization_config", std::move(quantization));
}

Result<HfModel> parse(const json& config) {
  return parse_hf_model({.directory = "/models/m", .config = config.dump()});
}

HfModel model_of(const json& config) {
  auto model = parse(config);
  EXPECT_TRUE(model) << model.error().message;
  return model ? *std::move(model) : HfModel{};
}

std::string error_of(const json& config) {
  const auto model = parse(config);
  if (model) return "no error";
  EXPECT_THAT(model.error().message, ::testing::StartsWith("/models/m/config.json: "));
  return model.error().message;
}

TEST(HfConfig, Llama) {
  const HfModel model = model_of(llama());
  const runtime::ModelConfig& c = model.config;
  EXPECT_EQ(c.model_type, "llama");
  EXPECT_EQ(c.name, "m");
  EXPECT_EQ(c.hidden, 64U);
  EXPECT_EQ(c.ffn, 172U);
  EXPECT_EQ(c.layers, 2U);
  EXPECT_EQ(c.heads, 8U);
  EXPECT_EQ(c.kv_heads, 4U);
  EXPECT_EQ(c.head_dim, 8U);
  EXPECT_EQ(c.vocab, 512U);
  EXPECT_EQ(c.context, 2048U);
  EXPECT_EQ(c.norm_eps, 1e-5F);
  EXPECT_EQ(c.gate, Gate::silu);
  EXPECT_EQ(c.rope.theta, 10000.0);
  EXPECT_EQ(c.rope.scaling, RopeScaling::none);
  EXPECT_TRUE(c.tied_head);
  EXPECT_FALSE(c.sub_norms || c.qk_norm || c.linear_norms || c.qkv_bias || c.o_bias || c.mlp_bias);
  EXPECT_EQ(c.sliding_window, 0U);
  EXPECT_EQ(c.bos, -1);
  EXPECT_THAT(c.stop_tokens, IsEmpty());
  EXPECT_EQ(model.quantization.form, TrainedForm::none);
  EXPECT_EQ(model.architecture, "LlamaForCausalLM");
}

// The defaults of transformers' configuration classes, for what config.json leaves out.
TEST(HfConfig, AbsentFieldsMeanWhatTheyMeanToTransformers) {
  json config = without(without(without(llama(), "hidden_act"), "tie_word_embeddings"), "rms_norm_eps");
  runtime::ModelConfig c = model_of(config).config;
  EXPECT_EQ(c.gate, Gate::silu);
  EXPECT_FALSE(c.tied_head);
  EXPECT_EQ(c.norm_eps, 1e-6F);

  config["architectures"] = {"BitNetForCausalLM"};
  config["model_type"] = "bitnet";
  c = model_of(config).config;
  EXPECT_EQ(c.gate, Gate::relu2);
  EXPECT_FALSE(c.tied_head);
  EXPECT_EQ(c.norm_eps, 1e-5F);
  EXPECT_EQ(c.rope.theta, 500000.0);

  EXPECT_EQ(model_of(without(llama(), "num_key_value_heads")).config.kv_heads, 8U);
  EXPECT_EQ(model_of(with(llama(), "num_key_value_heads", nullptr)).config.kv_heads, 8U);
  EXPECT_EQ(model_of(with(of_class("MistralForCausalLM", "mistral"), "num_key_value_heads", nullptr))
                .config.kv_heads,
            8U);
  EXPECT_EQ(
      model_of(without(of_class("MistralForCausalLM", "mistral"), "num_key_value_heads")).config.kv_heads,
      8U);
  EXPECT_EQ(model_of(of_class("Qwen3ForCausalLM", "qwen3")).config.head_dim, 128U);
  EXPECT_EQ(model_of(with(of_class("Qwen3ForCausalLM", "qwen3"), "head_dim", 16)).config.head_dim, 16U);
  EXPECT_EQ(model_of(with(llama(), "head_dim", nullptr)).config.head_dim, 8U);
  EXPECT_EQ(model_of(with(llama(), "head_dim", 24)).config.head_dim, 24U);
  for (const char* type : {"mistral", "qwen2", "qwen3"}) {
    EXPECT_EQ(model_of(without(with(llama(), "model_type", type), "architectures")).config.rope.theta,
              10000.0)
        << type;
  }
}

TEST(HfConfig, RequiredSizes) {
  for (const char* key : {"hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
                          "vocab_size", "max_position_embeddings"}) {
    EXPECT_THAT(error_of(without(llama(), key)), HasSubstr(std::string("field '") + key + "' is missing"));
    EXPECT_THAT(error_of(with(llama(), key, "64")), HasSubstr(std::string("field '") + key + "' is string"));
    EXPECT_THAT(error_of(with(llama(), key, 64.5)), HasSubstr(std::string("field '") + key + "' is number"));
    EXPECT_THAT(error_of(with(llama(), key, -1)),
                HasSubstr(std::string("field '") + key + "' is -1, which is out of range"));
    EXPECT_THAT(error_of(with(llama(), key, 1ULL << 40)), HasSubstr("out of range"));
    EXPECT_NE(error_of(with(llama(), key, 0)), "no error");
  }
  EXPECT_THAT(error_of(with(llama(), "num_attention_heads", 7)),
              HasSubstr("not a multiple of num_attention_heads 7"));
  EXPECT_THAT(error_of(with(llama(), "num_key_value_heads", 3)), HasSubstr("cannot share 3"));
}

TEST(HfConfig, Architectures) {
  EXPECT_TRUE(model_of(of_class("Qwen2ForCausalLM", "qwen2")).config.qkv_bias);
  EXPECT_FALSE(model_of(of_class("Qwen2ForCausalLM", "qwen2")).config.o_bias);
  EXPECT_TRUE(model_of(of_class("Qwen3ForCausalLM", "qwen3")).config.qk_norm);
  EXPECT_FALSE(model_of(of_class("Qwen3ForCausalLM", "qwen3")).config.qkv_bias);
  EXPECT_TRUE(model_of(of_class("BitNetForCausalLM", "bitnet")).config.sub_norms);

  const json biased = with(with(llama(), "attention_bias", true), "mlp_bias", true);
  const runtime::ModelConfig c = model_of(biased).config;
  EXPECT_TRUE(c.qkv_bias && c.o_bias && c.mlp_bias);
  EXPECT_THAT(error_of(with(of_class("MistralForCausalLM", "mistral"), "attention_bias", true)),
              HasSubstr("'attention_bias' is true, but MistralForCausalLM has no such biases"));
  EXPECT_THAT(error_of(with(of_class("Qwen3ForCausalLM", "qwen3"), "mlp_bias", true)),
              HasSubstr("'mlp_bias' is true"));

  const std::string message = error_of(of_class("GemmaForCausalLM", "gemma"));
  EXPECT_THAT(message, HasSubstr("'architectures' 'GemmaForCausalLM' is not supported"));
  for (const char* name : {"BitNetForCausalLM", "BitnetForCausalLM", "LlamaForCausalLM", "MistralForCausalLM",
                           "Qwen2ForCausalLM", "Qwen3ForCausalLM"}) {
    EXPECT_THAT(message, HasSubstr(name));
  }
  EXPECT_THAT(error_of(of_class("LlamaForCausalLM", "mistral")),
              HasSubstr("architectures says LlamaForCausalLM"));
  EXPECT_THAT(error_of(without(without(llama(), "architectures"), "model_type")),
              HasSubstr("'architectures' is missing"));
  EXPECT_THAT(error_of(with(without(llama(), "architectures"), "model_type", "gpt2")),
              HasSubstr("'gpt2' is not supported"));
  EXPECT_THAT(error_of(with(llama(), "architectures", json::array({3}))), HasSubstr("not a name"));
}

TEST(HfConfig, BitNetHeadsMustFillTheSubNorm) {
  EXPECT_THAT(error_of(with(of_class("BitNetForCausalLM", "bitnet"), "head_dim", 16)),
              HasSubstr("field 'head_dim' is 16"));
}

// 1bitLLM's config.json says model_type "llama", and has no quantization_config.
TEST(HfConfig, OneBitLlm) {
  json config = with(with(of_class("BitnetForCausalLM", "llama"), "weight_bits", 1), "input_bits", 8);
  const HfModel model = model_of(config);
  EXPECT_EQ(model.config.model_type, "bitnet");
  EXPECT_TRUE(model.config.sub_norms);
  EXPECT_EQ(model.config.gate, Gate::silu);
  EXPECT_EQ(model.quantization.form, TrainedForm::master_absmean);
  EXPECT_THAT(error_of(with(config, "weight_bits", 2)), HasSubstr("'weight_bits' is 2"));
  EXPECT_THAT(error_of(with(config, "input_bits", 4)), HasSubstr("'input_bits' is 4"));
}

TEST(HfConfig, Activations) {
  EXPECT_EQ(model_of(with(of_class("BitNetForCausalLM", "bitnet"), "hidden_act", "relu2")).config.gate,
            Gate::relu2);
  EXPECT_THAT(error_of(with(of_class("BitNetForCausalLM", "bitnet"), "hidden_act", "gelu")),
              HasSubstr("(supported: silu, relu2)"));
  EXPECT_THAT(error_of(with(llama(), "hidden_act", "relu2")),
              HasSubstr("'relu2' is not supported for LlamaForCausalLM"));
}

TEST(HfConfig, SlidingWindows) {
  const json mistral = of_class("MistralForCausalLM", "mistral");
  EXPECT_EQ(model_of(mistral).config.sliding_window, 4096U);
  EXPECT_EQ(model_of(with(mistral, "sliding_window", nullptr)).config.sliding_window, 0U);
  EXPECT_EQ(model_of(with(mistral, "sliding_window", 32)).config.sliding_window, 32U);
  EXPECT_THAT(error_of(with(mistral, "sliding_window", 0)), HasSubstr("null means no window"));
  const json qwen = of_class("Qwen2ForCausalLM", "qwen2");
  EXPECT_EQ(
      model_of(with(with(qwen, "use_sliding_window", false), "sliding_window", 4096)).config.sliding_window,
      0U);
  EXPECT_THAT(error_of(with(qwen, "use_sliding_window", true)), HasSubstr("'use_sliding_window' is true"));
  EXPECT_EQ(model_of(with(qwen, "layer_types", {"full_attention", "full_attention"})).config.sliding_window,
            0U);
  EXPECT_THAT(error_of(with(qwen, "layer_types", {"full_attention", "sliding_attention"})),
              HasSubstr("\"sliding_attention\""));
}

TEST(HfConfig, RopeOfBothGenerations) {
  EXPECT_EQ(model_of(with(llama(), "rope_theta", 1000042)).config.rope.theta, 1000042.0);
  const json new_form = with(llama(), "rope_parameters", {{"rope_theta", 5e5}, {"rope_type", "default"}});
  EXPECT_EQ(model_of(new_form).config.rope.theta, 5e5);
  EXPECT_EQ(model_of(with(new_form, "rope_theta", 5e5)).config.rope.theta, 5e5);
  EXPECT_THAT(error_of(with(new_form, "rope_theta", 1e4)),
              HasSubstr("'rope_theta' is 10000, but another place of the file says 500000"));
  EXPECT_EQ(model_of(with(llama(), "rope_scaling", nullptr)).config.rope.scaling, RopeScaling::none);

  const runtime::RopeConfig linear =
      model_of(with(llama(), "rope_scaling", {{"type", "linear"}, {"factor", 4.0}})).config.rope;
  EXPECT_EQ(linear.scaling, RopeScaling::linear);
  EXPECT_EQ(linear.factor, 4.0);
  EXPECT_THAT(error_of(with(llama(), "rope_scaling", {{"type", "linear"}})),
              HasSubstr("'rope_scaling.factor' is missing"));
}

TEST(HfConfig, RopeLlama3) {
  json scaling = {{"rope_type", "llama3"},
                  {"factor", 32.0},
                  {"low_freq_factor", 1.0},
                  {"high_freq_factor", 4.0},
                  {"original_max_position_embeddings", 8192}};
  const runtime::RopeConfig rope = model_of(with(llama(), "rope_scaling", scaling)).config.rope;
  EXPECT_EQ(rope.scaling, RopeScaling::llama3);
  EXPECT_EQ(rope.factor, 32.0);
  EXPECT_EQ(rope.low_frequency_factor, 1.0);
  EXPECT_EQ(rope.high_frequency_factor, 4.0);
  EXPECT_EQ(rope.original_context, 8192U);
  EXPECT_EQ(model_of(with(llama(), "rope_scaling", without(scaling, "original_max_position_embeddings")))
                .config.rope.original_context,
            2048U);
  EXPECT_THAT(error_of(with(llama(), "rope_scaling", without(scaling, "low_freq_factor"))),
              HasSubstr("low_freq_factor' is missing"));
  EXPECT_THAT(
      error_of(with(llama(), "rope_scaling", with(scaling, "original_max_position_embeddings", 1e30))),
      HasSubstr("out of range"));
}

TEST(HfConfig, RopeThatIsNotSupported) {
  for (const char* type : {"yarn", "dynamic", "longrope", "proportional"}) {
    EXPECT_THAT(error_of(with(llama(), "rope_scaling", {{"rope_type", type}, {"factor", 2.0}})),
                HasSubstr(std::string("rope_type '") + type + "' is not supported"));
  }
  EXPECT_THAT(
      error_of(with(llama(), "rope_scaling", {{"rope_type", "linear"}, {"type", "yarn"}, {"factor", 2.0}})),
      HasSubstr("make them agree"));
  EXPECT_THAT(error_of(with(llama(), "partial_rotary_factor", 0.5)),
              HasSubstr("'partial_rotary_factor' is 0.5"));
  EXPECT_EQ(model_of(with(llama(), "partial_rotary_factor", 1.0)).config.head_dim, 8U);
  EXPECT_THAT(error_of(with(llama(), "rope_parameters", {{"full_attention", {{"rope_theta", 1e4}}}})),
              HasSubstr("differ between layers"));
  EXPECT_THAT(error_of(with(llama(), "rope_theta", 0)), HasSubstr("rope theta"));
  EXPECT_THAT(error_of(with(llama(), "rope_scaling", "linear")), HasSubstr("'rope_scaling' is string"));
}

TEST(HfConfig, QuantizationForms) {
  const json offline = {
      {"quant_method", "bitnet"}, {"linear_class", "autobitlinear"}, {"quantization_mode", "offline"}};
  EXPECT_EQ(model_of(bitnet(offline)).quantization.form, TrainedForm::packed_direct);
  EXPECT_EQ(model_of(bitnet(without(offline, "quantization_mode"))).quantization.form,
            TrainedForm::packed_direct);
  EXPECT_EQ(model_of(bitnet(with(offline, "quantization_mode", "online"))).quantization.form,
            TrainedForm::master_absmean);
  EXPECT_EQ(model_of(bitnet(with(offline, "linear_class", "bitlinear"))).quantization.form,
            TrainedForm::packed_inverse);
  EXPECT_EQ(model_of(bitnet({{"quant_method", "bitnet"}})).quantization.form, TrainedForm::packed_inverse);
  EXPECT_EQ(model_of(bitnet(nullptr)).quantization.form, TrainedForm::none);
  // Falcon3 and Llama3-8B-1.58: architecture llama.
  EXPECT_EQ(model_of(with(llama(), "quantization_config",
                          {{"quant_method", "bitnet"}, {"modules_to_not_convert", nullptr}}))
                .quantization.form,
            TrainedForm::packed_inverse);
}

TEST(HfConfig, QuantizationErrors) {
  EXPECT_THAT(
      error_of(bitnet(
          {{"quant_method", "bitnet"}, {"linear_class", "bitlinear"}, {"quantization_mode", "online"}})),
      HasSubstr("'quantization_config.quantization_mode' is 'online', which linear_class 'bitlinear' does "
                "not have"));
  EXPECT_THAT(error_of(bitnet({{"quant_method", "bitnet"}, {"linear_class", "linear"}})),
              HasSubstr("expected bitlinear or autobitlinear"));
  EXPECT_THAT(error_of(bitnet({{"quant_method", "bitnet"}, {"quantization_mode", "x"}})),
              HasSubstr("expected online or offline"));
  EXPECT_THAT(error_of(bitnet(json::object())), HasSubstr("'quantization_config.quant_method' is missing"));
  EXPECT_THAT(error_of(bitnet({{"quant_method", "bitnet"}, {"use_rms_norm", 1}})),
              HasSubstr("'quantization_config.use_rms_norm' is number"));
  EXPECT_THAT(error_of(bitnet("bitnet")), HasSubstr("'quantization_config' is string"));
  for (const char* method : {"gptq", "awq", "fp8", "bitsandbytes"}) {
    const std::string message = error_of(with(llama(), "quantization_config", {{"quant_method", method}}));
    EXPECT_THAT(message, HasSubstr(std::string("is '") + method + "'"));
    EXPECT_THAT(message, HasSubstr("save the model unquantised"));
  }
}

TEST(HfConfig, NormsOfLinears) {
  const json norms = {{"quant_method", "bitnet"},
                      {"linear_class", "autobitlinear"},
                      {"use_rms_norm", true},
                      {"rms_norm_eps", 1e-4}};
  const HfModel model = model_of(bitnet(norms));
  EXPECT_TRUE(model.config.linear_norms);
  EXPECT_EQ(model.config.linear_norm_eps, 1e-4F);
  EXPECT_EQ(model_of(bitnet(without(norms, "rms_norm_eps"))).config.linear_norm_eps, 1e-6F);
  EXPECT_THAT(error_of(bitnet(with(norms, "modules_to_not_convert", {"model.layers.1"}))),
              HasSubstr("leaves 7 of 14 linears float"));
}

// transformers' should_convert_module(): a prefix up to a dot, or a suffix.
TEST(HfConfig, ModulesThatStayFloat) {
  const Quantization q =
      model_of(bitnet({{"quant_method", "bitnet"},
                       {"modules_to_not_convert", {"lm_head", "model.layers.1", "up_proj"}}}))
          .quantization;
  EXPECT_TRUE(q.is_trained("model.layers.0.mlp.down_proj"));
  EXPECT_FALSE(q.is_trained("model.layers.1.mlp.down_proj"));
  EXPECT_TRUE(q.is_trained("model.layers.11.mlp.down_proj"));
  EXPECT_FALSE(q.is_trained("model.layers.0.mlp.up_proj"));
  EXPECT_FALSE(q.is_trained("lm_head"));
  EXPECT_THAT(
      error_of(bitnet({{"quant_method", "bitnet"}, {"modules_to_not_convert", {"model.layers.*.mlp"}}})),
      HasSubstr("'model.layers.*.mlp' is not a plain module name"));
  EXPECT_THAT(error_of(bitnet({{"quant_method", "bitnet"}, {"modules_to_not_convert", "lm_head"}})),
              HasSubstr("is not a list"));
  EXPECT_EQ(
      model_of(bitnet({{"quant_method", "bitnet"}, {"modules_to_not_convert", {"model"}}})).quantization.form,
      TrainedForm::none);
}

// Llama3-8B-1.58's config.json has quantization_config twice, with equal contents.
TEST(HfConfig, KeysThatStandTwice) {
  std::string text = llama().dump();
  text.pop_back();
  const auto twice = [&](const char* first, const char* second) {
    return parse_hf_model(
        {.directory = "/models/m",
         .config = text + ",\"quantization_config\":" + first + ",\"quantization_config\":" + second + "}"});
  };
  const auto equal = twice(R"({"quant_method":"bitnet","modules_to_not_convert":null})",
                           R"({"modules_to_not_convert":null,"quant_method":"bitnet"})");
  ASSERT_TRUE(equal) << equal.error().message;
  EXPECT_EQ(equal->quantization.form, TrainedForm::packed_inverse);
  const auto different = twice(R"({"quant_method":"bitnet"})", R"({"quant_method":"gptq"})");
  ASSERT_FALSE(different);
  EXPECT_THAT(different.error().message,
              HasSubstr("the key 'quantization_config' stands twice in one object with different values"));
}

TEST(HfConfig, TextThatIsNotJson) {
  for (const char* text : {"", "{", "[]", "3", "{\"a\":1}x", "{\"a\":\xff}", "{\"a\":1e999}"}) {
    const auto model = parse_hf_model({.directory = "/models/m", .config = text});
    ASSERT_FALSE(model) << text;
    EXPECT_THAT(model.error().message, ::testing::StartsWith("/models/m/config.json: "));
  }
}

HfModel parse_texts(HfTexts texts) {
  texts.directory = "/models/m";
  if (texts.config.empty()) texts.config = llama().dump();
  auto model = parse_hf_model(texts);
  EXPECT_TRUE(model) << model.error().message;
  return model ? *std::move(model) : HfModel{};
}

std::string texts_error(HfTexts texts) {
  texts.directory = "/models/m";
  if (texts.config.empty()) texts.config = llama().dump();
  const auto model = parse_hf_model(texts);
  return model ? "no error" : model.error().message;
}

constexpr const char* kAdded =
    R"({"model":{"merges":["a b"],"added_tokens":1},"added_tokens":[{"id":500,"content":"<s>","special":true},)"
    R"({"id":501,"content":"<|eot_id|>"},{"id":502,"content":"<|end_of_text|>"},{"id":503,"content":"<|im_end|>"},{"id":900,"content":"</s>"}]})";

TEST(HfTokens, EveryStopTokenThatTheFilesName) {
  const HfModel model =
      parse_texts({.config = with(with(llama(), "eos_token_id", 502), "bos_token_id", 500).dump(),
                   .generation_config = R"({"eos_token_id":[502,7]})",
                   .tokenizer_config = R"({"eos_token":"<|end_of_text|>","chat_template":"x<|eot_id|></s>"})",
                   .tokenizer = kAdded});
  // 503 is in the vocabulary but not in the template; </s> is in the template but behind the vocabulary.
  EXPECT_THAT(model.config.stop_tokens, ElementsAre(502, 7, 501));
  EXPECT_EQ(model.config.bos, 500);
  EXPECT_EQ(model.eos_token, "<|end_of_text|>");
}

TEST(HfTokens, EosTextCountsWithoutATemplate) {
  const HfModel model = parse_texts(
      {.tokenizer_config = R"({"eos_token":{"content":"<|im_end|>","lstrip":false},"bos_token":"<s>"})",
       .tokenizer = kAdded});
  EXPECT_THAT(model.config.stop_tokens, ElementsAre(503));
  EXPECT_EQ(model.config.bos, 500);
  EXPECT_EQ(model.bos_token, "<s>");
  EXPECT_FALSE(model.add_bos.has_value());
}

TEST(HfTokens, NoIdIsMinusOneOrNull) {
  const HfModel model =
      parse_texts({.config = with(with(llama(), "eos_token_id", nullptr), "bos_token_id", -1).dump(),
                   .generation_config = R"({"eos_token_id":-1})"});
  EXPECT_THAT(model.config.stop_tokens, IsEmpty());
  EXPECT_EQ(model.config.bos, -1);
}

TEST(HfTokens, AddBosAndEos) {
  const HfModel model = parse_texts({.tokenizer_config = R"({"add_bos_token":true,"add_eos_token":false})"});
  EXPECT_EQ(model.add_bos, std::optional(true));
  EXPECT_EQ(model.add_eos, std::optional(false));
}

TEST(HfTokens, ChatTemplates) {
  EXPECT_EQ(parse_texts({.tokenizer_config = R"({"chat_template":"A"})"}).chat_template, "A");
  EXPECT_EQ(parse_texts({.tokenizer_config = R"({"chat_template":"A"})", .chat_template = "B"}).chat_template,
            "B");
  EXPECT_EQ(
      parse_texts(
          {.tokenizer_config =
               R"({"chat_template":[{"name":"rag","template":"R"},{"name":"default","template":"D"}]})"})
          .chat_template,
      "D");
  EXPECT_EQ(parse_texts({.tokenizer_config = R"({"chat_template":null})"}).chat_template, "");
  EXPECT_EQ(parse_texts({}).chat_template, "");
}

TEST(HfTokens, Errors) {
  EXPECT_THAT(texts_error({.config = with(llama(), "eos_token_id", 512).dump()}),
              HasSubstr("stop token 512 is outside the vocabulary of 512"));
  EXPECT_THAT(texts_error({.config = with(llama(), "eos_token_id", "x").dump()}),
              HasSubstr("config.json: field 'eos_token_id' holds"));
  EXPECT_THAT(texts_error({.config = with(llama(), "bos_token_id", 1ULL << 32).dump()}),
              HasSubstr("'bos_token_id' holds"));
  EXPECT_THAT(texts_error({.generation_config = R"({"eos_token_id":[1.5]})"}),
              HasSubstr("generation_config.json: field 'eos_token_id'"));
  EXPECT_THAT(texts_error({.generation_config = "["}), HasSubstr("generation_config.json: not valid JSON"));
  EXPECT_THAT(texts_error({.tokenizer_config = R"({"chat_template":3})"}),
              HasSubstr("tokenizer_config.json: field 'chat_template' is neither"));
  EXPECT_THAT(texts_error({.tokenizer_config = R"({"bos_token":3})"}),
              HasSubstr("field 'bos_token' is not the text of a token"));
  EXPECT_THAT(texts_error({.tokenizer_config = R"({"add_bos_token":"yes"})"}),
              HasSubstr("'add_bos_token' is string"));
  EXPECT_THAT(texts_error({.tokenizer = R"({"added_tokens":[{"id":1}]})"}),
              HasSubstr("tokenizer.json: field 'added_tokens' holds"));
  EXPECT_THAT(texts_error({.tokenizer = R"({"added_tokens":)"}), HasSubstr("tokenizer.json: not valid JSON"));
}

TEST(HfDirectory, MissingFiles) {
  const TempDir dir;
  const auto nowhere = read_hf_model(dir.file("nowhere"));
  ASSERT_FALSE(nowhere);
  EXPECT_THAT(nowhere.error().message, HasSubstr("no such directory"));
  const auto empty = read_hf_model(dir.path());
  ASSERT_FALSE(empty);
  EXPECT_THAT(empty.error().message, HasSubstr("config.json is missing"));
  EXPECT_THAT(read_tokenizer_json(dir.path()).error().message, HasSubstr("tokenizer.json is missing"));
  dir.write("tokenizer.model", "x");
  EXPECT_THAT(read_tokenizer_json(dir.path()).error().message, HasSubstr("save the fast tokenizer"));
  dir.write("tokenizer.json", "{}");
  EXPECT_EQ(*read_tokenizer_json(dir.path()), "{}");
}

TEST(HfDirectory, NamesComeFromTheDirectoryOrTheHubCache) {
  const auto name = [](const char* directory) {
    return parse_hf_model({.directory = directory, .config = llama().dump()})->config.name;
  };
  EXPECT_EQ(name("models/Falcon3-1B/"), "Falcon3-1B");
  EXPECT_EQ(name("/c/models--microsoft--bitnet-b1.58-2B-4T/snapshots/04c3b9ad"), "bitnet-b1.58-2B-4T");
}

TEST(HfDirectory, TheDemoModelOfTheRepository) {
  const auto model = read_hf_model(STERNA_SOURCE_DIR "/models/demo");
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(model->config.gate, Gate::relu2);
  EXPECT_EQ(model->quantization.form, TrainedForm::master_absmean);
  EXPECT_EQ(model->config.bos, 4093);
  EXPECT_THAT(model->config.stop_tokens, ElementsAre(4095, 4094));
  EXPECT_THAT(model->chat_template, HasSubstr("<|eot_id|>"));
}

TEST(HfDirectory, SharedModels) {
  const auto models = shared_data("models");
  STERNA_NEEDS_SHARED(models);
  const std::pair<const char*, TrainedForm> expected[] = {
      {"bitllama2c", TrainedForm::packed_direct},
      {"bitllama2c-bitlinear", TrainedForm::packed_inverse},
      {"stories260K", TrainedForm::none},
      {"stories260K-bitlinear", TrainedForm::packed_inverse},
      {"sterna-demo", TrainedForm::master_absmean}};
  for (const auto& [name, form] : expected) {
    const auto model = read_hf_model((models / name).string());
    ASSERT_TRUE(model) << model.error().message;
    EXPECT_EQ(model->quantization.form, form) << name;
    EXPECT_EQ(model->config.name, name);
  }
}

// The outcome of any config.json is a model in range or one line of error.
TEST(HfConfig, MutationsNeverCrash) {
  json config = bitnet({{"quant_method", "bitnet"},
                        {"linear_class", "autobitlinear"},
                        {"modules_to_not_convert", {"lm_head"}}});
  config["rope_scaling"] = {
      {"rope_type", "llama3"}, {"factor", 8.0}, {"low_freq_factor", 1.0}, {"high_freq_factor", 4.0}};
  config["eos_token_id"] = {1, 2};
  const json values[] = {nullptr,
                         true,
                         -1,
                         0,
                         1,
                         1e300,
                         4294967296ULL,
                         "x",
                         "",
                         json::array(),
                         json::object(),
                         json::array({json::array()}),
                         -0.0,
                         0.5,
                         std::numeric_limits<std::uint64_t>::max(),
                         std::numeric_limits<std::int64_t>::min()};
  std::mt19937 random(11);
  int accepted = 0;
  for (int round = 0; round < 20000; ++round) {
    json changed = config;
    for (auto n = 1 + random() % 3; n > 0; --n) {
      auto at = changed.begin();
      std::advance(at, static_cast<std::ptrdiff_t>(random() % changed.size()));
      if (at->is_object() && !at->empty() && random() % 2 == 0) {
        auto inner = at->begin();
        std::advance(inner, static_cast<std::ptrdiff_t>(random() % at->size()));
        *inner = values[random() % std::size(values)];
      } else {
        *at = values[random() % std::size(values)];
      }
    }
    const auto model = parse(changed);
    if (model) {
      ++accepted;
      EXPECT_TRUE(runtime::validate(model->config, "x"));
    } else {
      EXPECT_EQ(model.error().message.find('\n'), std::string::npos) << model.error().message;
    }
  }
  EXPECT_GT(accepted, 100);
  EXPECT_LT(accepted, 19000);
}

}  // namespace
}  // namespace sterna::convert
