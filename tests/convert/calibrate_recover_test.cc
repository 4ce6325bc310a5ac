// The tuning of scales and gains as a part of a conversion, of calibrated and of trained ternary models.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "convert/convert.h"
#include "convert/graph/load.h"
#include "tests/convert/calibrated_fixture.h"

namespace sterna::convert {
namespace {

using TunedConvertTest = CalibratedConvertTest;

TEST_F(TunedConvertTest, RecoveryTunesScalesAndGainsAndNothingElse) {
  TinyModel().write(source_);
  const auto calibrated = convert(options());
  ASSERT_TRUE(calibrated) << error_of(calibrated);
  const Stored before = stored(output());
  ConvertOptions o = options();
  o.fit->recover_steps = 3;
  const auto report = convert(o);
  ASSERT_TRUE(report) << error_of(report);
  ASSERT_TRUE(report->fit && report->fit->recovered);
  EXPECT_EQ(report->fit->recovered->steps, 3U);
  // Three small steps downhill, measured on text that they have not seen: best_step would be 0 if none
  // helped.
  EXPECT_GT(report->fit->recovered->best_step, 0U);
  EXPECT_LT(report->fit->recovered->best_loss, report->fit->recovered->start_loss);
  EXPECT_EQ(report->fitted, 14U);
  EXPECT_EQ(report->mean_relative_error, calibrated->mean_relative_error);
  // The same windows through the same graph: only the order in which their means are added up may differ.
  ASSERT_TRUE(report->fit->final);
  EXPECT_NEAR(report->fit->final->divergence, report->fit->recovered->best_loss, 1e-12);
  EXPECT_FALSE(fs::exists(folder()));
  const Stored after = stored(output());
  ASSERT_EQ(before.model.tensors.size(), after.model.tensors.size());
  for (std::size_t i = 0; i < before.model.tensors.size(); ++i) {
    const auto& a = before.model.tensors[i];
    const auto& b = after.model.tensors[i];
    const std::string& name = a.descriptor.name;
    ASSERT_EQ(name, b.descriptor.name);
    if (a.spec.is_linear()) {
      EXPECT_EQ(integers(a), integers(b)) << name;
      EXPECT_NE(scales(a), scales(b)) << name;
      EXPECT_EQ(a.descriptor.rotation_block, b.descriptor.rotation_block) << name;
      EXPECT_EQ(a.descriptor.rotation_seed, b.descriptor.rotation_seed) << name;
    } else {
      EXPECT_EQ(a.spec.is_vector(), !std::ranges::equal(a.bytes, b.bytes)) << name;
    }
  }
}

TEST_F(TunedConvertTest, RecoveryGivesTheSameBytesAtAnyNumberOfThreads) {
  TinyModel().write(source_);
  ConvertOptions o = options();
  o.fit->recover_steps = 3;
  const std::string one = bytes(o, 1);
  EXPECT_EQ(one, bytes(o, 2));
  EXPECT_EQ(one, bytes(o, 3));
}

TEST_F(TunedConvertTest, RecoveryGoesOnWhereItWasStopped) {
  TinyModel().write(source_);
  ConvertOptions o = options();
  o.fit->recover_steps = 3;
  const std::string uninterrupted = bytes(o);
  bool stop = false;
  o.fit->on_step = [&](const RecoverProgress& p) { stop = p.step == 2; };
  const auto stopped = convert(o, 2, [&] { return stop; });
  EXPECT_THAT(error_of(stopped), HasSubstr("interrupted"));
  o.fit->calibration.resume = true;
  std::vector<std::size_t> steps;
  o.fit->on_step = [&](const RecoverProgress& p) { steps.push_back(p.step); };
  std::vector<bool> resumed;
  o.fit->on_layer = [&](const CalibratedLayer& l) { resumed.push_back(l.resumed); };
  EXPECT_EQ(uninterrupted, bytes(o, 3));
  EXPECT_THAT(resumed, ::testing::ElementsAre(true, true));
  ASSERT_FALSE(steps.empty());
  EXPECT_GE(steps.front(), 2U);
}

// --- trained ternary models -------------------------------------------------------------------------------

TinyModel trained_model() {
  TinyModel model;
  model.config["quantization_config"] = {
      {"quant_method", "bitnet"}, {"linear_class", "autobitlinear"}, {"quantization_mode", "online"}};
  return model;
}

TEST_F(TunedConvertTest, ATrainedTernaryModelIsTunedWithItsTrits) {
  trained_model().write(source_);
  ASSERT_TRUE(convert({}));
  const Stored before = stored(output());
  ConvertOptions o = options();
  o.planes.reset();
  o.fit->recover_steps = 3;
  const auto report = convert(o);
  ASSERT_TRUE(report) << error_of(report);
  EXPECT_THAT(report->source, AllOf(HasSubstr("trained ternary"), HasSubstr("scales tuned")));
  ASSERT_TRUE(report->fit && report->fit->recovered);
  EXPECT_LE(report->fit->recovered->best_loss, report->fit->recovered->start_loss);
  EXPECT_FALSE(report->fit->calibrated);
  EXPECT_EQ(report->fitted, 0U);  // nothing was ternarised here
  EXPECT_FALSE(fs::exists(folder()));
  const Stored after = stored(output());
  for (const auto& a : before.model.tensors) {
    if (!a.spec.is_linear()) continue;
    const auto& b = after.at(a.descriptor.name);
    EXPECT_EQ(integers(a), integers(b)) << a.descriptor.name;
    EXPECT_NE(scales(a), scales(b)) << a.descriptor.name;
    EXPECT_EQ(b.descriptor.rotation_block, 0U);
  }
  const auto model = runtime::load_model_file(output(), {}, testing::test_pool());
  ASSERT_TRUE(model) << error_of(model);
  EXPECT_FALSE((*model)->calibration().fingerprints.empty());
}

TEST_F(TunedConvertTest, ATrainedTernaryModelCannotBeCalibrated) {
  trained_model().write(source_);
  ConvertOptions o = options();
  EXPECT_THAT(error_of(convert(o)), HasSubstr("trained ternary"));
  o.planes.reset();
  EXPECT_THAT(error_of(convert(o)), AllOf(HasSubstr("trained ternary"), HasSubstr("nothing to calibrate"),
                                          HasSubstr("leave out --calibrate"), HasSubstr("--recover")));
  o.planes = 2;
  o.fit->recover_steps = 3;
  EXPECT_THAT(error_of(convert(o)), AllOf(HasSubstr("trained ternary"), HasSubstr("leave out --planes")));
  EXPECT_FALSE(fs::exists(output()));
  EXPECT_FALSE(fs::exists(folder()));
}

TEST_F(TunedConvertTest, TunesAPublishedTernaryModel) {
  const auto directory = testing::shared_data("models/stories260K-bitlinear");
  STERNA_NEEDS_SHARED(directory);
  const auto convert_stories = [&](const ConvertOptions& o) {
    const auto report = testing::convert_to(directory, output(), o);
    EXPECT_TRUE(report) << error_of(report);
    return stored(output());
  };
  const Stored exact = convert_stories({});
  ConvertOptions o = options();
  o.planes.reset();
  o.fit->recover_steps = 2;
  o.fit->calibration.text = {};
  o.fit->calibration.text.tokens = 2048;
  o.fit->calibration.window = 32;
  const Stored tuned = convert_stories(o);
  for (const auto& t : exact.model.tensors) {
    if (!t.spec.is_linear()) continue;
    EXPECT_EQ(integers(t), integers(tuned.at(t.descriptor.name))) << t.descriptor.name;
    EXPECT_NE(scales(t), scales(tuned.at(t.descriptor.name))) << t.descriptor.name;
  }
}

// transformers adds the biases of this form before it multiplies with the scale.
TEST_F(TunedConvertTest, BiasesOfAPackedModelAreThoseThatItsFileHolds) {
  TinyModel model;
  model.config["attention_bias"] = true;
  model.config["quantization_config"] = {{"quant_method", "bitnet"}, {"linear_class", "autobitlinear"}};
  const std::map<std::string, TinyModel::Tensor> floats = model.tensors;
  for (const auto& [name, t] : floats) {
    if (!name.ends_with("_proj.weight")) continue;
    for (float& w : model.tensors[name].values) w = w > 0.1F ? 1.0F : w < -0.1F ? -1.0F : 0.0F;
    model.tensors[name + "_scale"] = {{1}, {0.25F}};
    if (name.find("self_attn") == std::string::npos) continue;
    const std::string bias = name.substr(0, name.size() - 6) + "bias";
    model.tensors[bias] = {{t.shape[0]}, std::vector<float>(t.shape[0], 2.0F)};
  }
  model.write(source_);
  const auto hf = read_hf_model(source_.path());
  const auto checkpoint = Checkpoint::open(source_.path());
  ASSERT_TRUE(hf && checkpoint) << error_of(hf);
  const auto block = load_block_vectors(*checkpoint, *hf, 1);
  ASSERT_TRUE(block) << error_of(block);
  EXPECT_EQ(block->q.bias, std::vector<float>(32, 0.5F));
  EXPECT_EQ(block->attention_norm, std::vector<float>(32, 1.0F));
}

}  // namespace
}  // namespace sterna::convert
