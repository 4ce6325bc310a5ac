// The converter as a whole: what is packed how, what is refused, and that nothing half-made is ever left
// behind.
#include "convert/convert.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "convert/inspect.h"
#include "runtime/prompt.h"
#include "tests/support/engine.h"
#include "tests/support/shared_data.h"
#include "tests/support/tiny_model.h"

namespace sterna::convert {
namespace {

using ::testing::HasSubstr;
using testing::TempDir;
using testing::TinyModel;

std::string converted_bytes(const std::string& source, const ConvertOptions& options, std::size_t threads) {
  const TempDir out;
  runtime::ThreadPool pool(threads);
  const auto report =
      convert_directory(source, out.file("m.gguf"), options, pool, nullptr, [] { return false; });
  EXPECT_TRUE(report) << (report ? "" : report.error().message);
  return testing::read_file(out.file("m.gguf"));
}

TEST(Convert, TheSameBytesAtAnyNumberOfThreads) {
  const TempDir source;
  TinyModel().write(source);
  for (const std::size_t planes : {1U, 2U, 3U}) {
    const ConvertOptions options{.planes = planes};
    const std::string one = converted_bytes(source.path(), options, 1);
    EXPECT_EQ(one, converted_bytes(source.path(), options, 1));
    EXPECT_EQ(one, converted_bytes(source.path(), options, 2));
    EXPECT_EQ(one, converted_bytes(source.path(), options, 5));
  }
}

// Errors of the data-free grid shrink with each plane: a step of s/3^(P-1) leaves a third of the error,
// roughly.
TEST(Convert, EachPlaneLeavesAboutAThirdOfTheError) {
  const TempDir source;
  TinyModel().write(source);
  double last = 1.0;
  for (const std::size_t planes : {1U, 2U, 3U}) {
    const TempDir out;
    const auto report = testing::convert_to(source.path(), out.file("m.gguf"), {.planes = planes});
    ASSERT_TRUE(report);
    EXPECT_EQ(report->fitted, 14U);  // seven linears in each of two layers
    EXPECT_LT(report->mean_relative_error, last / 2);
    last = report->mean_relative_error;
  }
}

TEST(Convert, AFloatModelWithoutFlagsGetsThreePlanes) {
  const TempDir source;
  TinyModel().write(source);
  const TempDir out;
  const auto report = testing::convert_to(source.path(), out.file("m.gguf"), {});
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_TRUE(report->planes_by_default);
  EXPECT_EQ(report->source, "float, data-free, 3 planes");
}

// The container that holds floats computes what the directory computes, bit for bit: the weights are the same
// and so is the code.
TEST(Convert, TheFloatContainerIsTheDirectory) {
  const TempDir source;
  TinyModel().write(source);
  const auto direct = load_hf_model(source.path(), {}, testing::test_pool());
  ASSERT_TRUE(direct) << direct.error().message;
  const auto contained = testing::converted(source.path(), {.keep_float = true});
  ASSERT_TRUE(contained) << contained.error().message;
  const auto a = testing::new_session(*direct);
  const auto b = testing::new_session(*contained);
  const runtime::TokenId ids[] = {256, 1, 2, 3};
  ASSERT_TRUE(a->append(ids));
  ASSERT_TRUE(b->append(ids));
  EXPECT_TRUE(std::equal(a->logits().begin(), a->logits().end(), b->logits().begin()));
}

// A trained ternary directory run as it is and its converted file are the same model.
TEST(Convert, TheDemoRunsAlikeFromTheDirectoryAndFromTheFile) {
  const std::string source = std::string(STERNA_SOURCE_DIR) + "/models/demo";
  const auto direct = load_hf_model(source, {}, testing::test_pool());
  ASSERT_TRUE(direct) << direct.error().message;
  const auto contained = testing::converted(source);
  ASSERT_TRUE(contained) << contained.error().message;
  const std::vector<runtime::ChatMessage> messages = {{"user", "Hi, how are you?"}};
  const auto ids = runtime::encode_chat(**direct, messages, true);
  ASSERT_TRUE(ids) << ids.error().message;
  EXPECT_EQ(*ids, *runtime::encode_chat(**contained, messages, true));
  const auto a = testing::new_session(*direct);
  const auto b = testing::new_session(*contained);
  ASSERT_TRUE(a->append(*ids));
  ASSERT_TRUE(b->append(*ids));
  EXPECT_TRUE(std::equal(a->logits().begin(), a->logits().end(), b->logits().begin()));
}

TEST(Convert, WhatIsTrainedTernaryIsNotQuantisedAgain) {
  const std::string source = std::string(STERNA_SOURCE_DIR) + "/models/demo";
  const TempDir out;
  for (const ConvertOptions& options : {ConvertOptions{.planes = 3}, ConvertOptions{.keep_float = true}}) {
    const auto report = testing::convert_to(source, out.file("m.gguf"), options);
    ASSERT_FALSE(report);
    EXPECT_THAT(report.error().message, HasSubstr("trained ternary"));
  }
  EXPECT_TRUE(std::filesystem::is_empty(out.path()));
}

TEST(Convert, InterruptedLeavesWhatWasThere) {
  const TempDir source;
  TinyModel().write(source);
  const TempDir out;
  out.write("m.gguf", "precious");
  int asked = 0;
  const auto never = [&] {
    ++asked;
    return false;
  };
  ASSERT_TRUE(
      convert_directory(source.path(), out.file("other.gguf"), {}, testing::test_pool(), nullptr, never));
  const int last = asked - 1;
  for (const int stop_after : {0, 1, last / 3, last / 2, last - 1, last}) {
    asked = 0;
    const auto report = convert_directory(source.path(), out.file("m.gguf"), {}, testing::test_pool(),
                                          nullptr, [&] { return asked++ >= stop_after; });
    ASSERT_FALSE(report) << stop_after;
    EXPECT_THAT(report.error().message, HasSubstr("interrupted"));
    EXPECT_EQ(testing::read_file(out.file("m.gguf")), "precious");
    EXPECT_FALSE(std::filesystem::exists(out.file("m.gguf.partial")));
  }
}

TEST(Convert, VocabularyAndTokenizerMustBelongTogether) {
  TinyModel model;
  model.tokenizer["added_tokens"][2]["id"] = 400;
  const TempDir source;
  model.write(source);
  const TempDir out;
  const auto report = testing::convert_to(source.path(), out.file("m.gguf"), {});
  ASSERT_FALSE(report);
  EXPECT_THAT(report.error().message, HasSubstr("400"));
  EXPECT_THAT(report.error().message, HasSubstr("260"));
}

TEST(Convert, EmbeddingFormsAreWhatTheySay) {
  const TempDir source;
  TinyModel().write(source);
  const auto type_of = [&](EmbeddingForm form) {
    const TempDir out;
    EXPECT_TRUE(testing::convert_to(source.path(), out.file("m.gguf"), {.planes = 1, .embedding = form}));
    const auto inspection = inspect(out.file("m.gguf"), true, testing::test_pool());
    EXPECT_TRUE(inspection) << (inspection ? "" : inspection.error().message);
    return inspection ? inspection->tensors.front().type : "";
  };
  EXPECT_EQ(type_of(EmbeddingForm::keep), "f32");
  EXPECT_EQ(type_of(EmbeddingForm::bf16), "bf16");
  EXPECT_EQ(type_of(EmbeddingForm::int8), "i8-split");
}

TEST(Inspect, CountsTheTritsOfTheMatrixAndNotOfItsPadding) {
  TinyModel model;
  // A matrix of 48 x 32 with known trits: two thirds +0.5, one sixth -0.5 and 0 each.
  std::vector<float> values(48 * 32);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = i % 6 == 0 ? 0.0F : i % 6 == 1 ? -0.5F : 0.5F;
  model.tensors["model.layers.0.mlp.up_proj.weight"].values = values;
  const TempDir source;
  model.write(source);
  ASSERT_TRUE(testing::convert_to(source.path(), source.file("m.gguf"), {.planes = 3}));
  const auto inspection = inspect(source.file("m.gguf"), true, testing::test_pool());
  ASSERT_TRUE(inspection) << inspection.error().message;
  bool found = false;
  for (const InspectedTensor& t : inspection->tensors) {
    if (t.name != "blk.0.ffn_up.weight") continue;
    found = true;
    EXPECT_EQ(t.type, "trit2-16x16, 1 plane, one scale");  // ternary by value: exact, whatever --planes says
    ASSERT_TRUE(t.trits);
    EXPECT_EQ(t.trits->minus, 256U);
    EXPECT_EQ(t.trits->zero, 256U);
    EXPECT_EQ(t.trits->plus, 1024U);
  }
  EXPECT_TRUE(found);
}

TEST(Inspect, ShowsDirectoriesThatWeDoNotRun) {
  TinyModel model;
  model.config["architectures"] = {"GPT2LMHeadModel"};
  model.config["model_type"] = "gpt2";
  const TempDir source;
  model.write(source);
  const auto inspection = inspect(source.path(), false, testing::test_pool());
  ASSERT_TRUE(inspection) << inspection.error().message;
  EXPECT_EQ(inspection->architecture, "GPT2LMHeadModel");
  EXPECT_THAT(inspection->runnable, HasSubstr("GPT2LMHeadModel"));
  EXPECT_EQ(inspection->tensors.size(), 20U);
}

TEST(Inspect, ShowsFilesOfOtherProducers) {
  const auto path = testing::shared_data("tokenizers/ggml-vocab-llama-spm.gguf");
  STERNA_NEEDS_SHARED(path);
  const auto inspection = inspect(path.string(), false, testing::test_pool());
  ASSERT_TRUE(inspection) << inspection.error().message;
  EXPECT_EQ(inspection->architecture, "llama");
  EXPECT_FALSE(inspection->runnable.empty());
}

}  // namespace
}  // namespace sterna::convert
