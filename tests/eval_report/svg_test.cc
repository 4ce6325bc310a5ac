// Markup of pictures, and names that keep clear of each other.
#include "eval/report/svg.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <regex>
#include <set>

#include "eval/report/chart.h"
#include "eval/report/plots.h"
#include "tests/eval_report/sample.h"

namespace sterna::eval::report {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(Svg, EscapesTextsTooltipsAndTheLabel) {
  Svg svg(10, 10, "\"<label>\"");
  svg.text({1, 1}, "<script>");
  svg.mark({1, 1}, {}, "a & b");
  const std::string out = std::move(svg).finish();
  EXPECT_THAT(out, HasSubstr("role=\"img\" aria-label=\"&quot;&lt;label&gt;&quot;\""));
  EXPECT_THAT(out, HasSubstr("&lt;script&gt;"));
  EXPECT_THAT(out, HasSubstr("<title>a &amp; b</title>"));
}

TEST(Svg, NoTwoModelsLookAlike) {
  std::set<std::pair<std::string, std::size_t>> looks;
  for (std::size_t i = 0; i < 36; ++i) {
    const Series series{false, i};
    looks.emplace(series.css_class(), series.shape());
  }
  const Series baseline{true, 0};
  looks.emplace(baseline.css_class(), baseline.shape());
  EXPECT_EQ(looks.size(), 37U);
}

TEST(Chart, NamesOfNeighboursDoNotCoverEachOther) {
  Svg svg(560, 340, "names");
  std::vector<NamedPoint> points;
  for (int i = 0; i < 5; ++i)
    points.push_back({{200.0 + 9 * i, 150.0 + 2 * i}, "model-" + std::to_string(i), false});
  draw_names(svg, points, {50, 20, 550, 300});
  const std::string out = std::move(svg).finish();
  const std::regex text("<text x=\"([0-9.]+)\" y=\"([0-9.]+)\" text-anchor=\"([a-z]+)\"");
  std::vector<Box> boxes;
  const double width = text_width("model-0");
  for (std::sregex_iterator at(out.begin(), out.end(), text), end; at != end; ++at) {
    const double x = std::stod((*at)[1]);
    const double y = std::stod((*at)[2]);
    const double left = (*at)[3] == "start" ? x : (*at)[3] == "end" ? x - width : x - width / 2;
    boxes.push_back({left, y - 10, left + width, y + 2});
  }
  ASSERT_EQ(boxes.size(), 5U);
  for (std::size_t i = 0; i < boxes.size(); ++i) {
    for (std::size_t k = i + 1; k < boxes.size(); ++k) {
      const bool apart = boxes[i].right <= boxes[k].left || boxes[k].right <= boxes[i].left ||
                         boxes[i].bottom <= boxes[k].top || boxes[k].bottom <= boxes[i].top;
      EXPECT_TRUE(apart) << i << " covers " << k;
    }
  }
}

TEST(Plots, AreLeftOutWithoutTheirNumbers) {
  Report report = testing::sample_report(3);
  EXPECT_EQ(plots(report).size(), 5U);
  for (ModelResult& model : report.models) {
    model.cost.reset();
    model.tasks.clear();
    model.needle.clear();
    for (TextResult& text : model.texts) text.divergence.reset();
  }
  EXPECT_TRUE(plots(report).empty());
  EXPECT_TRUE(plots(Report{}).empty());
}

TEST(Plots, BitsPerByteReplacePerplexityAcrossTokenizers) {
  Report report = testing::sample_report(3);
  EXPECT_THAT(plot_quality(report).panels[0], HasSubstr("Perplexity"));
  report.models[1].tokenizer = "another";
  const Figure figure = plot_quality(report);
  EXPECT_THAT(figure.panels[0], HasSubstr("Bits per byte"));
  EXPECT_THAT(figure.panels[0], Not(HasSubstr("Perplexity")));
  EXPECT_THAT(figure.caption, HasSubstr("not comparable"));
}

TEST(Plots, ATaskWithoutAShownDifferenceIsMarked) {
  Report report = testing::sample_report(2);
  report.models[1].tasks.resize(1);
  report.models[0].tasks.resize(1);
  auto& test = *report.models[1].tasks[0].acc_norm_test;
  test.p_value = 0.2;
  EXPECT_THAT(plot_tasks(report).panels[0], HasSubstr("≈"));
  test.p_value = 0.01;
  EXPECT_THAT(plot_tasks(report).panels[0], Not(HasSubstr("≈")));
}

TEST(Plots, NumbersThatAreNotFiniteDrawNothing) {
  Report report = testing::sample_report(3);
  const double nan = std::nan("");
  TextResult& text = report.models[1].texts[0];
  text.perplexity = {nan, nan};
  text.divergence->kl_quantiles[0] = {0.5, nan, nan, nan};
  text.divergence->by_position[0].top1 = {nan, nan};
  report.models[1].tasks[0].acc_norm = Estimate{nan, nan};
  for (const Figure& figure : plots(report)) {
    for (const std::string& panel : figure.panels) EXPECT_THAT(panel, Not(HasSubstr("nan")));
  }
}

}  // namespace
}  // namespace sterna::eval::report
