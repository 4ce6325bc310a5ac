// report.json has every number of a report, and gives it back.
#include "eval/report/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/eval_report/sample.h"

namespace sterna::eval::report {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::ordered_json;

TEST(ReportJson, GivesEveryFieldBack) {
  const Report report = testing::sample_report(12);
  const std::string text = to_json(report).dump();
  const auto again = from_json(Json::parse(text));
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(to_json(*again).dump(), text);
  // The list of fields is one for both ways: what it forgot would be missing here.
  const ModelResult& a = report.models[2];
  const ModelResult& b = again->models[2];
  EXPECT_EQ(a.checksum, b.checksum);
  EXPECT_EQ(a.cost->decode.error, b.cost->decode.error);
  EXPECT_EQ(a.texts[1].divergence->by_position[3].top1.error,
            b.texts[1].divergence->by_position[3].top1.error);
  EXPECT_EQ(a.tasks[0].acc_norm_test->p_value, b.tasks[0].acc_norm_test->p_value);
  EXPECT_EQ(a.generations[0].answers[0].first_difference, b.generations[0].answers[0].first_difference);
  EXPECT_EQ(a.needle[7].found, b.needle[7].found);
}

// Every number, counted: a struct of results.h that gains a field without this file's list fails here.
TEST(ReportJson, HasAsManyFieldsAsTheStructs) {
  const Json json = to_json(testing::sample_report(2));
  const Json& model = json["models"][1];
  EXPECT_EQ(model.size(), 11U);
  EXPECT_EQ(model["cost"].size(), 9U);
  EXPECT_EQ(model["texts"][0].size(), 9U);
  EXPECT_EQ(model["texts"][0]["divergence"].size(), 10U);
  EXPECT_EQ(model["texts"][0]["divergence"]["by_position"][0].size(), 6U);
  EXPECT_EQ(model["tasks"][0].size(), 11U);
  EXPECT_EQ(model["tasks"][0]["acc_test"].size(), 4U);
  EXPECT_EQ(model["generations"][0].size(), 9U);
  EXPECT_EQ(model["generations"][0]["answers"][0].size(), 6U);
  EXPECT_EQ(model["needle"][0].size(), 4U);
}

TEST(ReportJson, WhatIsNotFiniteIsNull) {
  Report report = testing::sample_report(2);
  report.models[1].texts[0].nll.value = std::numeric_limits<double>::quiet_NaN();
  report.models[1].texts[0].perplexity.value = std::numeric_limits<double>::infinity();
  const Json json = to_json(report);
  EXPECT_TRUE(json["models"][1]["texts"][0]["nll"]["value"].is_null());
  EXPECT_TRUE(json["models"][1]["texts"][0]["perplexity"]["value"].is_null());
  const auto again = from_json(json);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_TRUE(std::isnan(again->models[1].texts[0].perplexity.value));
}

TEST(ReportJson, ErrorsNameTheField) {
  const Json good = to_json(testing::sample_report(2));
  const auto message = [](const Json& json) {
    const auto result = from_json(json);
    return result ? std::string("read") : result.error().message;
  };
  Json bad = good;
  bad["models"][1]["texts"][0]["tokens"] = -1;
  EXPECT_THAT(message(bad), HasSubstr("models[1].texts[0].tokens: a count is needed"));
  bad = good;
  bad["models"][0]["cost"] = "cheap";
  EXPECT_THAT(message(bad), HasSubstr("models[0].cost: an object is needed"));
  bad = good;
  bad["format"] = 2;
  EXPECT_THAT(message(bad), HasSubstr("format"));
  EXPECT_THAT(message(Json::array()), HasSubstr("not an object"));
  // An earlier version knew less.
  bad = good;
  bad.erase("kv");
  EXPECT_EQ(message(bad), "read");
}

}  // namespace
}  // namespace sterna::eval::report
