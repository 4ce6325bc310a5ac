#include "eval/suite.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "eval/builtin.h"
#include "eval/evaluate.h"
#include "tests/support/engine.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace sterna::eval {
namespace {

using ::testing::HasSubstr;

std::string error_of(const std::string& text) {
  const testing::TempDir directory;
  directory.write("suite.json", text);
  directory.write("text.txt", "some text");
  const auto suite = load_suite(directory.file("suite.json"), "");
  return suite ? "no error" : suite.error().message;
}

TEST(Suite, QuickNeedsNothing) {
  const auto suite = load_suite("quick", "");
  ASSERT_TRUE(suite) << suite.error().message;
  EXPECT_EQ(suite->texts.size(), 2U);
  EXPECT_FALSE(suite->generations.empty());
  ASSERT_EQ(suite->tasks.size(), 1U);
  const auto task = load_task(suite->tasks[0]);
  ASSERT_TRUE(task) << task.error().message;
  EXPECT_EQ(task->items.size(), 60U);
  EXPECT_GE(longest_context(*suite), 512U);
}

TEST(Suite, FullSaysWhatIsNotThere) {
  EXPECT_THAT(load_suite("full", "").error().message, HasSubstr("needs --data"));
  const testing::TempDir directory;
  directory.write("wiki.test.raw", "some text");
  const auto suite = load_suite("full", directory.path());
  ASSERT_TRUE(suite) << suite.error().message;
  EXPECT_EQ(suite->texts.size(), 1U);
  EXPECT_TRUE(suite->tasks.empty());
  EXPECT_EQ(suite->notes.size(), 5U);
  EXPECT_THAT(suite->notes[2], HasSubstr("HellaSwag is left out: there is no hellaswag_val_full.txt.bz2"));
}

TEST(Suite, AFileSaysWhatToMeasure) {
  const testing::TempDir directory;
  directory.write("text.txt", "猫");
  directory.write("suite.json", R"({"name": "mine",
    "texts": [{"file": "text.txt", "protocol": "strided", "window": 64, "bos": true}],
    "generation": {"prompts": ["Hello"], "sampled": true},
    "needle": {"lengths": [256], "depths": [0, 1], "trials": 2}})");
  const auto suite = load_suite(directory.file("suite.json"), "");
  ASSERT_TRUE(suite) << suite.error().message;
  EXPECT_EQ(suite->name, "mine");
  EXPECT_EQ(suite->texts[0].content, "猫");
  EXPECT_EQ(suite->texts[0].protocol.stride, 32U);
  EXPECT_EQ(suite->texts[0].bos, true);
  EXPECT_EQ(suite->generations.size(), 2U);
  EXPECT_EQ(suite->needle->depths.size(), 2U);
}

TEST(Suite, ErrorsNameTheField) {
  EXPECT_THAT(error_of("{"), HasSubstr("suite.json"));
  EXPECT_THAT(error_of("{}"), HasSubstr("nothing to measure"));
  EXPECT_THAT(error_of(R"({"text": []})"), HasSubstr("field 'text' is unknown; known are: name, texts"));
  EXPECT_THAT(error_of(R"({"texts": {}})"), HasSubstr("field 'texts' is not a list"));
  EXPECT_THAT(error_of(R"({"texts": [{}]})"), HasSubstr("texts[0]: field 'file' is missing"));
  EXPECT_THAT(error_of(R"({"texts": [{"file": "none.txt"}]})"), HasSubstr("none.txt"));
  EXPECT_THAT(error_of(R"({"texts": [{"file": "text.txt", "window": -1}]})"),
              HasSubstr("texts[0]: field 'window' is -1, not a whole number"));
  EXPECT_THAT(error_of(R"({"texts": [{"file": "text.txt", "protocol": "first-half"}]})"),
              HasSubstr("it may be: second-half, all, strided"));
  EXPECT_THAT(error_of(R"({"texts": [{"file": "text.txt", "windows": 1}]})"),
              HasSubstr("field 'windows' is unknown"));
  EXPECT_THAT(error_of(R"({"generation": {"prompts": []}})"), HasSubstr("there are no prompts"));
  EXPECT_THAT(error_of(R"({"generation": {"prompts": [1]}})"), HasSubstr("not a list of texts"));
  EXPECT_THAT(error_of(R"({"needle": {"lengths": [10]}})"), HasSubstr("at least 128"));
  EXPECT_THAT(error_of(R"({"needle": {"depths": [2]}})"), HasSubstr("not in 0..1"));
  EXPECT_THAT(load_suite("/nowhere.json", "").error().message, HasSubstr("no such suite; use quick, full"));
}

TEST(Builtin, HasItsTextsWhole) {
  ASSERT_TRUE(builtin_text("builtin:prompts.txt"));
  EXPECT_THAT(std::string(*builtin_text("builtin:prompts.txt")), HasSubstr("日本の四季について"));
  EXPECT_FALSE(builtin_text("builtin:none"));
  EXPECT_FALSE(builtin_text("prompts.txt"));
}

TEST(Identify, NamesAreShortAndUnique) {
  const testing::TempDir directory;
  testing::TinyModel().write(directory);
  const auto model = convert::load_model(directory.path(), {}, testing::test_pool());
  ASSERT_TRUE(model) << model.error().message;
  std::vector<ModelResult> models;
  for (const char* path : {"some/demo", "demo.gguf", "other/demo.gguf", "demo/", "小さい.gguf"}) {
    models.push_back(identify(**model, path, models.empty(), models));
  }
  std::vector<std::string> names;
  for (const ModelResult& m : models) names.push_back(m.name);
  EXPECT_THAT(names, ::testing::ElementsAre("demo", "demo.gguf", "demo (2)", "demo (3)", "小さい"));
  EXPECT_EQ(models[0].kind, "float");
  EXPECT_EQ(models[0].checksum.size(), 8U);
  EXPECT_EQ(models[0].tokenizer, models[1].tokenizer);
}

}  // namespace
}  // namespace sterna::eval
