// The softmax of rows of scores.
#include "kernels/softmax/softmax.h"

#include "kernels/softmax/reference.h"
#include "tests/kernels/support.h"

namespace sterna::kernels {
namespace {

const std::vector<std::size_t> kLengths = {1, 2, 3, 15, 16, 17, 512, 1000, 1023, 1024, 1025, 1040, 4096};

class SoftmaxTest : public KernelTest {};
STERNA_FOR_ALL_KERNELS(SoftmaxTest);

// Of an element d below the maximum: its exponential is within 2 units and d is rounded (a unit of its
// magnitude); the same for the total, whose lanes add up 64 of them and the tree four more; then the share
// and the product with it.
double tolerance(const std::vector<double>& expected, const std::vector<double>& below, std::size_t i) {
  double total = 0;
  for (std::size_t j = 0; j < below.size(); ++j) total += expected[j] * (below[j] + 2);
  // Below 2^-126 numbers are multiples of 2^-149: two such units for the exponential, one for the product.
  return expected[i] * (below[i] + 2 + total + 64 + 4 + 2) * kUnit * 1.01 + 3 * 0x1p-149;
}

TEST_P(SoftmaxTest, AgreesWithTheReference) {
  for (const std::size_t n : kLengths) {
    for (const float deviation : {0.0F, 1.0F, 5.0F, 40.0F}) {
      const GuardedBuffer<float> x(deviation == 0 ? std::vector<float>(n, 1.5F)
                                                  : Random(n).normals(n, deviation));
      GuardedBuffer<float> y(n, kNan);
      kernels().softmax(x.data(), n, y.data());
      const std::vector<double> expected = reference_softmax({x.data(), n});
      const double maximum = static_cast<double>(*std::max_element(x.data(), x.data() + n));
      std::vector<double> below(n);
      for (std::size_t i = 0; i < n; ++i) below[i] = maximum - static_cast<double>(x[i]);
      for (std::size_t i = 0; i < n; ++i)
        ASSERT_NEAR(y[i], expected[i], tolerance(expected, below, i)) << n << " " << deviation << " " << i;
    }
  }
}

TEST_P(SoftmaxTest, GivesTheSameBitsEverywhereAndInPlace) {
  for (const std::size_t n : kLengths) {
    const GuardedBuffer<float> x(Random(n).normals(n, 6.0F));
    GuardedBuffer<float> theirs(n);
    GuardedBuffer<float> ours(n);
    GuardedBuffer<float> in_place(std::vector<float>(x.data(), x.data() + n));
    scalar_kernels().softmax(x.data(), n, theirs.data());
    kernels().softmax(x.data(), n, ours.data());
    kernels().softmax(in_place.data(), n, in_place.data());
    for (std::size_t i = 0; i < n; ++i) {
      ASSERT_EQ(ours[i], theirs[i]) << n << " " << i;
      ASSERT_EQ(in_place[i], theirs[i]) << n << " " << i;
    }
  }
}

TEST_P(SoftmaxTest, MinusInfinityHasNoShare) {
  std::vector<float> values(33, -kInfinity);
  values[3] = values[32] = 7.0F;
  const GuardedBuffer<float> x(values);
  GuardedBuffer<float> y(values.size());
  kernels().softmax(x.data(), x.size(), y.data());
  for (std::size_t i = 0; i < values.size(); ++i) EXPECT_EQ(y[i], i == 3 || i == 32 ? 0.5F : 0.0F) << i;
}

TEST_P(SoftmaxTest, NanAndNothingButMinusInfinityGiveNan) {
  std::vector<std::vector<float>> rows{std::vector<float>(20, -kInfinity)};
  for (const std::size_t at : {0, 5, 16, 19}) {
    rows.push_back(Random(at).normals(20));
    rows.back()[at] = kNan;
  }
  for (const std::vector<float>& row : rows) {
    const GuardedBuffer<float> x(row);
    GuardedBuffer<float> y(row.size());
    kernels().softmax(x.data(), x.size(), y.data());
    for (std::size_t i = 0; i < row.size(); ++i) EXPECT_TRUE(std::isnan(y[i])) << i;
  }
}

}  // namespace
}  // namespace sterna::kernels
