#include "convert/hf_names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <set>

#include "tests/support/safetensors_writer.h"
#include "tests/support/shared_data.h"
#include "tests/support/temp_dir.h"

namespace sterna::convert {
namespace {

using runtime::Part;
using runtime::Role;
using runtime::TensorSpec;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::SafetensorsWriter;
using testing::shared_data;
using testing::TempDir;

HfModel small_model() {
  HfModel model;
  model.config.hidden = 8;
  model.config.layers = 2;
  model.config.heads = 2;
  model.config.kv_heads = 1;
  model.config.head_dim = 4;
  model.config.ffn = 12;
  model.config.vocab = 5;
  model.config.context = 16;
  return model;
}

std::vector<std::uint64_t> shape_of(const TensorSpec& spec) {
  if (spec.is_vector()) return {spec.columns};
  return {spec.rows, spec.columns};
}

// What check_tensors() says of the checkpoint that the model implies, after `change` (name, shape, dtype) of
// each tensor (false: leave it out) and with additions.
using Change = std::function<bool(std::string& name, std::vector<std::uint64_t>& shape, std::string& dtype)>;
using Add = std::function<void(SafetensorsWriter&)>;

std::string check(const HfModel& model, const Change& change = nullptr, const Add& add = nullptr) {
  SafetensorsWriter writer;
  for (const TensorSpec& spec : runtime::tensor_list(model.config)) {
    std::string name = hf_names(model, spec).front();
    std::vector<std::uint64_t> shape = shape_of(spec);
    std::string dtype = "F32";
    if (change && !change(name, shape, dtype)) continue;
    std::size_t bytes = dtype == "U8" ? 1 : 4;
    for (const auto n : shape) bytes *= n;
    writer.add(name, dtype, shape, std::string(bytes, '\0'));
  }
  if (add) add(writer);
  const TempDir dir;
  dir.write("model.safetensors", writer.bytes());
  const auto checkpoint = Checkpoint::open(dir.path());
  EXPECT_TRUE(checkpoint) << checkpoint.error().message;
  const Status status = check_tensors(*checkpoint, model);
  return status ? "ok" : status.error().message;
}

Change only(const std::string& which, const Change& change) {
  return [=](std::string& name, std::vector<std::uint64_t>& shape, std::string& dtype) {
    return name != which || change(name, shape, dtype);
  };
}

TEST(HfNames, Names) {
  const HfModel model = small_model();
  const auto names = [&](Role role, Part part, std::int32_t layer) {
    TensorSpec spec{};
    spec.role = role;
    spec.part = part;
    spec.layer = layer;
    return hf_names(model, spec);
  };
  EXPECT_THAT(names(Role::token_embedding, Part::weight, -1), ElementsAre("model.embed_tokens.weight"));
  EXPECT_THAT(names(Role::output, Part::weight, -1), ElementsAre("lm_head.weight"));
  EXPECT_THAT(names(Role::output_norm, Part::weight, -1), ElementsAre("model.norm.weight"));
  EXPECT_THAT(names(Role::q, Part::bias, 1), ElementsAre("model.layers.1.self_attn.q_proj.bias"));
  EXPECT_THAT(names(Role::down, Part::norm, 0), ElementsAre("model.layers.0.mlp.down_proj.rms_norm.weight",
                                                            "model.layers.0.mlp.down_proj.norm.weight"));
  EXPECT_THAT(
      names(Role::ffn_sub_norm, Part::weight, 0),
      ElementsAre("model.layers.0.mlp.ffn_sub_norm.weight", "model.layers.0.mlp.ffn_layernorm.weight"));
  EXPECT_THAT(names(Role::attention_sub_norm, Part::weight, 3),
              ElementsAre("model.layers.3.self_attn.attn_sub_norm.weight",
                          "model.layers.3.self_attn.inner_attn_ln.weight"));
}

TEST(HfNames, ACompleteCheckpointOfEveryKind) {
  HfModel model = small_model();
  EXPECT_EQ(check(model), "ok");
  model.config.tied_head = true;
  EXPECT_EQ(check(model), "ok");
  model.config.qk_norm = model.config.qkv_bias = model.config.o_bias = model.config.mlp_bias = true;
  model.config.sub_norms = model.config.linear_norms = true;
  EXPECT_EQ(check(model), "ok");
  EXPECT_EQ(check(model,
                  [](std::string& name, auto&, auto&) {
                    for (const auto& [from, to] :
                         {std::pair("attn_sub_norm", "inner_attn_ln"),
                          std::pair("ffn_sub_norm", "ffn_layernorm"), std::pair("rms_norm", "norm")}) {
                      if (const auto at = name.find(from); at != std::string::npos)
                        name.replace(at, std::string(from).size(), to);
                    }
                    return true;
                  }),
            "ok");
}

TEST(HfNames, MissingTensors) {
  const HfModel model = small_model();
  EXPECT_THAT(
      check(model, only("model.layers.1.mlp.up_proj.weight", [](auto&, auto&, auto&) { return false; })),
      HasSubstr("tensor 'model.layers.1.mlp.up_proj.weight' is missing"));
  EXPECT_THAT(check(model, only("lm_head.weight", [](auto&, auto&, auto&) { return false; })),
              HasSubstr("'lm_head.weight' is missing (tie_word_embeddings is not true"));
}

TEST(HfNames, ShapesAndTypes) {
  const HfModel model = small_model();
  EXPECT_THAT(check(model, only("model.embed_tokens.weight",
                                [](auto&, auto& shape, auto&) {
                                  shape[0] = 7;
                                  return true;
                                })),
              HasSubstr("'model.embed_tokens.weight' has 7 rows, but config.json says vocab_size 5"));
  EXPECT_THAT(check(model, only("model.layers.0.self_attn.k_proj.weight",
                                [](auto&, auto& shape, auto&) {
                                  shape[0] = 8;
                                  return true;
                                })),
              HasSubstr("k_proj.weight' is [8, 8] F32, config.json implies [4, 8]"));
  EXPECT_THAT(check(model, only("model.norm.weight",
                                [](auto&, auto& shape, auto&) {
                                  shape.push_back(1);
                                  return true;
                                })),
              HasSubstr("'model.norm.weight' is [8, 1] F32, config.json implies [8]"));
  EXPECT_THAT(
      check(model, only("model.layers.0.mlp.up_proj.weight",
                        [](auto&, auto&, auto& dtype) {
                          dtype = "U8";
                          return true;
                        })),
      HasSubstr("up_proj.weight' is U8, a float type is expected: config.json has no quantization_config"));
}

TEST(HfNames, TensorsThatWouldBeLeftOut) {
  const HfModel model = small_model();
  const auto added = [&](const std::string& name) {
    return check(model, nullptr, [&](SafetensorsWriter& writer) { writer.floats(name, {2}, {1, 2}); });
  };
  EXPECT_THAT(
      added("model.layers.0.self_attn.q_proj.bias"),
      HasSubstr("unexpected tensor 'model.layers.0.self_attn.q_proj.bias' [2] F32: config.json says"));
  EXPECT_THAT(added("model.layers.0.mlp.up_proj.weight_scale"),
              HasSubstr("config.json has no quantization_config for it"));
  EXPECT_THAT(added("model.layers.2.mlp.up_proj.weight"),
              HasSubstr("unexpected tensor 'model.layers.2.mlp.up_proj.weight'"));
  EXPECT_EQ(added("model.layers.0.self_attn.rotary_emb.inv_freq"), "ok");
}

TEST(HfNames, ASecondHeadBesideATiedEmbedding) {
  HfModel model = small_model();
  model.config.tied_head = true;
  const auto with_head = [&](float value) {
    return check(model, nullptr, [&](SafetensorsWriter& writer) {
      std::vector<float> head(40);
      head[39] = value;
      writer.floats("lm_head.weight", {5, 8}, head);
    });
  };
  EXPECT_EQ(with_head(0.0F), "ok");
  EXPECT_THAT(with_head(1.0F), HasSubstr("'lm_head.weight' differs from 'model.embed_tokens.weight'"));
  // The other way round: only the head is stored.
  EXPECT_EQ(check(model, only("model.embed_tokens.weight",
                              [](auto& name, auto&, auto&) {
                                name = "lm_head.weight";
                                return true;
                              })),
            "ok");
}

TEST(HfNames, PackedLinears) {
  HfModel model = small_model();
  model.quantization.form = TrainedForm::packed_inverse;
  const Change pack = [](std::string& name, auto& shape, std::string& dtype) {
    if (name.find("_proj") == std::string::npos) return true;
    shape[0] = (shape[0] + 3) / 4;
    dtype = "U8";
    return true;
  };
  const auto add_scales = [&](const std::string& but, std::size_t size) {
    return [=](SafetensorsWriter& writer) {
      for (const TensorSpec& spec : runtime::tensor_list(small_model().config)) {
        const std::string name = hf_module(spec) + ".weight_scale";
        if (spec.is_linear() && name != but) writer.floats(name, {size}, std::vector<float>(size, 1.0F));
      }
    };
  };
  EXPECT_EQ(check(model, pack, add_scales("", 1)), "ok");
  EXPECT_THAT(
      check(model, pack, add_scales("model.layers.1.self_attn.o_proj.weight_scale", 1)),
      HasSubstr("'model.layers.1.self_attn.o_proj.weight_scale' is missing: packed weights have no meaning"));
  EXPECT_THAT(check(model, pack, add_scales("", 2)),
              HasSubstr("weight_scale' is [2] F32, one float is expected"));
  EXPECT_THAT(check(model, nullptr, add_scales("", 1)),
              HasSubstr("is F32, but quantization_config says that it is packed (U8)"));
  EXPECT_THAT(check(
                  model,
                  [&](std::string& name, auto& shape, std::string& dtype) {
                    if (name.find("_proj") != std::string::npos) dtype = "U8";
                    return !shape.empty();
                  },
                  add_scales("", 1)),
              HasSubstr("q_proj.weight' is [8, 8] U8, config.json implies [2, 8]"));
}

TEST(HfNames, TheDemoModelOfTheRepository) {
  const std::string directory = STERNA_SOURCE_DIR "/models/demo";
  const auto model = read_hf_model(directory);
  const auto checkpoint = Checkpoint::open(directory);
  ASSERT_TRUE(model && checkpoint);
  const Status status = check_tensors(*checkpoint, *model);
  EXPECT_TRUE(status) << status.error().message;
}

TEST(HfNames, SharedModels) {
  const auto models = shared_data("models");
  STERNA_NEEDS_SHARED(models);
  for (const char* name :
       {"bitllama2c", "bitllama2c-bitlinear", "stories260K", "stories260K-bitlinear", "sterna-demo"}) {
    const auto model = read_hf_model((models / name).string());
    const auto checkpoint = Checkpoint::open((models / name).string());
    ASSERT_TRUE(model && checkpoint) << name;
    const Status status = check_tensors(*checkpoint, *model);
    EXPECT_TRUE(status) << status.error().message;
  }
}

}  // namespace
}  // namespace sterna::convert
