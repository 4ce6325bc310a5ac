// The definition of the lanes (scalar.h) against the mathematics; the other instruction sets are held to it
// bit for bit through the operations.
#include "kernels/lanes/math.h"
#include "kernels/lanes/scalar.h"
#include "tests/kernels/support.h"

namespace sterna::kernels {
namespace {

using F = F32x16<Isa::scalar>;

// Every 1009th float (a prime, so all mantissa patterns occur) of both signs.
TEST(LanesTest, ExpIsWithinOneUnitInTheLastPlace) {
  double worst = 0;
  for (std::uint64_t bits = 0; bits < 0x100000000u; bits += 1009 * kLanes) {
    float x[kLanes];
    float y[kLanes];
    for (std::size_t i = 0; i < kLanes; ++i) x[i] = float_of(static_cast<std::uint32_t>(bits + 1009 * i));
    exp<Isa::scalar>(F::load(x)).store(y);
    for (std::size_t i = 0; i < kLanes; ++i) {
      if (std::isnan(x[i])) {
        ASSERT_TRUE(std::isnan(y[i]));
        continue;
      }
      const double exact = std::exp(static_cast<double>(x[i]));
      if (exact > 0x1.fffffep127) {
        ASSERT_TRUE(std::isinf(y[i]) || x[i] < 88.7229f) << x[i];
        continue;
      }
      // 2^-23 relative, and half of the subnormals' step where those begin.
      ASSERT_NEAR(y[i], exact, 0x1p-23 * exact + 0.5 * kSmallest) << x[i];
      if (exact > 0x1p-126) worst = std::max(worst, std::fabs(y[i] - exact) / exact);
    }
  }
  EXPECT_GT(worst, 0x1p-26) << "a float cannot be that exact: the test compares nothing";
  RecordProperty("worst_relative_error_in_units_of_2^-24", std::to_string(worst / kUnit));
}

TEST(LanesTest, ExpAtTheEnds) {
  const auto exp1 = [](float x) {
    float y[kLanes];
    exp<Isa::scalar>(F::broadcast(x)).store(y);
    return y[0];
  };
  EXPECT_EQ(exp1(0.0f), 1.0f);
  EXPECT_EQ(exp1(-0.0f), 1.0f);
  EXPECT_EQ(exp1(-kInfinity), 0.0f);
  EXPECT_EQ(exp1(-1000.0f), 0.0f);
  EXPECT_EQ(exp1(-103.5f), 0x1p-149f);
  EXPECT_EQ(exp1(89.0f), kInfinity);
  EXPECT_EQ(exp1(kInfinity), kInfinity);
  EXPECT_TRUE(std::isnan(exp1(kNan)));
  EXPECT_TRUE(std::isnan(exp1(-kNan)));
}

// The tree of sums is part of the promise: 8 + 8, 4 + 4, 2 + 2, 1 + 1. These terms make every other order
// visible.
TEST(LanesTest, SumIsTheTree) {
  Random random(1);
  for (int trial = 0; trial < 100; ++trial) {
    const std::vector<float> v = random.normals(kLanes, 1e3f);
    std::vector<float> t = v;
    for (const std::size_t half : {8, 4, 2, 1}) {
      for (std::size_t i = 0; i < half; ++i) t[i] = t[i] + t[i + half];
    }
    EXPECT_EQ(F::load(v.data()).sum(), t[0]);
    EXPECT_EQ(F::load(v.data()).maximum(), *std::max_element(v.begin(), v.end()));
  }
}

TEST(LanesTest, ButterfliesAreSumsAndDifferences) {
  const std::vector<float> v = Random(2).normals(kLanes);
  const auto expect = [&](std::size_t stride, F result) {
    float y[kLanes];
    result.store(y);
    for (std::size_t i = 0; i < kLanes; ++i) {
      const float partner = v[i ^ stride];
      EXPECT_EQ(y[i], (i & stride) == 0 ? v[i] + partner : partner - v[i]) << i << " stride " << stride;
    }
  };
  const F x = F::load(v.data());
  expect(1, x.butterfly<1>());
  expect(2, x.butterfly<2>());
  expect(4, x.butterfly<4>());
  expect(8, x.butterfly<8>());
}

}  // namespace
}  // namespace sterna::kernels
