// Ticks at round numbers, and where values lie.
#include "eval/report/axis.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace sterna::eval::report {
namespace {

using ::testing::ElementsAre;

std::vector<std::string> labels(const Axis& axis) {
  std::vector<std::string> list;
  for (const Tick& tick : axis.ticks()) list.push_back(tick.label);
  return list;
}

TEST(Axis, LinearTicksAreRound) {
  EXPECT_THAT(labels(Axis(Scale::kLinear, 0, 97, {0, 100}, 5)), ElementsAre("0", "50", "100"));
  EXPECT_THAT(labels(Axis(Scale::kLinear, 12.61, 13.33, {0, 100}, 4)),
              ElementsAre("12.6", "12.8", "13.0", "13.2"));
  EXPECT_THAT(labels(Axis(Scale::kLinear, -3, 3, {0, 100}, 4)), ElementsAre("-2", "0", "2"));
}

TEST(Axis, LogTicksAreOneTwoAndFiveOrPowersOfTen) {
  EXPECT_THAT(labels(Axis(Scale::kLog, 0.25, 2.6, {0, 100}, 6)), ElementsAre("0.5", "1", "2"));
  EXPECT_THAT(labels(Axis(Scale::kLog, 0.001, 20, {0, 100}, 6)),
              ElementsAre("0.001", "0.01", "0.1", "1", "10"));
  // A narrow log axis has the ticks of a linear one.
  EXPECT_THAT(labels(Axis(Scale::kLog, 10.3, 13.9, {0, 100}, 4)), ElementsAre("11", "12", "13", "14"));
}

TEST(Axis, EveryTickLiesOnTheAxis) {
  for (const Scale scale : {Scale::kLinear, Scale::kLog}) {
    for (double low = 1e-5; low < 1e8; low *= 7.3) {
      for (const double factor : {1.0, 1.0001, 1.3, 4.0, 90.0, 1e7}) {
        const Axis axis(scale, low, low * factor, {10, 110}, 5);
        EXPECT_GE(axis.ticks().size(), 1U) << low << " " << factor;
        EXPECT_LE(axis.ticks().size(), 12U) << low << " " << factor;
        for (const Tick& tick : axis.ticks()) {
          EXPECT_GE(axis.at(tick.value), 10) << low << " " << factor;
          EXPECT_LE(axis.at(tick.value), 110) << low << " " << factor;
        }
      }
    }
  }
}

TEST(Axis, ALogAxisShowsRatiosAsDistances) {
  const Axis axis(Scale::kLog, 1, 100, {0, 1000}, 3);
  // Coordinates are doubles of some hundred: their arithmetic is exact to 1e-10.
  EXPECT_NEAR(axis.at(10) - axis.at(1), axis.at(100) - axis.at(10), 1e-9);
  EXPECT_EQ(axis.at(1e9), 1000);
}

TEST(Axis, AVerticalAxisDescends) {
  const Axis axis(Scale::kLinear, 0, 1, {300, 20}, 4);
  EXPECT_GT(axis.at(0), axis.at(1));
}

}  // namespace
}  // namespace sterna::eval::report
