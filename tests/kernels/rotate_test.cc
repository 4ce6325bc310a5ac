// Input rotation: the butterflies bit for bit, the matrix, and the signs.
#include "kernels/rotate/factors.h"
#include "kernels/rotate/reference.h"
#include "tests/kernels/support.h"

namespace sterna::kernels {
namespace {

class RotateTest : public KernelTest {};
STERNA_FOR_ALL_KERNELS(RotateTest);

struct Size {
  std::size_t columns;
  std::size_t block;
};
constexpr Size kSizes[] = {{7, 1},      {16, 1},     {6, 2},       {20, 4},      {24, 8},     {40, 8},
                           {48, 16},    {96, 32},    {64, 64},     {576, 64},    {384, 128},  {1536, 512},
                           {2560, 512}, {6912, 256}, {4096, 1024}, {8192, 4096}, {8192, 8192}};

std::vector<float> factors_of(const Size& size, std::uint32_t seed) {
  std::vector<float> factors(size.columns);
  fill_rotation(seed, size.block, factors);
  return factors;
}

// Rounded are float(1 / sqrt(B)), the product with it and log2 B stages. A stage is sqrt(2) times an
// orthogonal matrix, and what it rounds is at most 2^-24 of its output, in the Euclidean norm too; so each of
// them is, at the end, at most 2^-24 of the block's norm.
double tolerance(const float* block_of_x, std::size_t block) {
  double squares = 0;
  for (std::size_t i = 0; i < block; ++i) squares += double{block_of_x[i]} * block_of_x[i];
  return (2 + std::log2(static_cast<double>(block))) * kUnit * 1.001 * std::sqrt(squares);
}

TEST_P(RotateTest, HasTheBitsOfTheDefinition) {
  for (const Size& size : kSizes) {
    for (const float deviation : {1e-3f, 1.0f, 1e30f}) {
      const GuardedBuffer<float> x(Random(size.columns).normals(size.columns, deviation));
      const GuardedBuffer<float> factors(factors_of(size, 7));
      GuardedBuffer<float> y(size.columns, untouched());
      GuardedBuffer<float> in_place(std::vector<float>(x.data(), x.data() + size.columns));
      std::vector<float> expected(size.columns);
      kernels().rotate(x.data(), factors.data(), size.columns, size.block, y.data());
      kernels().rotate(in_place.data(), factors.data(), size.columns, size.block, in_place.data());
      reference_rotate(x.data(), factors.data(), size.columns, size.block, expected.data());
      for (std::size_t i = 0; i < size.columns; ++i) {
        ASSERT_TRUE(same(y[i], expected[i])) << i << " of " << size.columns << " in blocks of " << size.block;
        ASSERT_TRUE(same(in_place[i], expected[i])) << i << " of " << size.columns << ", in place";
      }
    }
  }
}

TEST_P(RotateTest, IsTheHadamardMatrix) {
  for (const Size& size : kSizes) {
    const std::vector<float> x = Random(size.block).normals(size.columns);
    const std::vector<float> factors = factors_of(size, 11);
    std::vector<float> y(size.columns);
    kernels().rotate(x.data(), factors.data(), size.columns, size.block, y.data());
    const std::size_t step = size.columns > 4096 ? 37 : 1;  // the naive product of 8192 columns takes seconds
    for (std::size_t i = 0; i < size.columns; i += step) {
      ASSERT_NEAR(y[i], reference_rotated(x.data(), factors.data(), size.block, i),
                  tolerance(&x[i / size.block * size.block], size.block))
          << i << " of " << size.columns << " in blocks of " << size.block;
    }
  }
}

// H H = 1: without signs the second time, and with those of the first one after it, the input comes back.
TEST_P(RotateTest, TwiceIsTheInput) {
  for (const Size& size : kSizes) {
    const std::vector<float> x = Random(size.block + 1).normals(size.columns);
    const std::vector<float> factors = factors_of(size, 3);
    std::vector<float> unsigned_factors = factors;
    for (float& f : unsigned_factors) f = std::fabs(f);
    std::vector<float> y(size.columns);
    kernels().rotate(x.data(), factors.data(), size.columns, size.block, y.data());
    kernels().rotate(y.data(), unsigned_factors.data(), size.columns, size.block, y.data());
    for (std::size_t i = 0; i < size.columns; ++i) {
      ASSERT_NEAR(std::copysign(1.0f, factors[i]) * y[i], x[i],
                  2 * tolerance(&x[i / size.block * size.block], size.block))
          << i << " of " << size.columns << " in blocks of " << size.block;
    }
  }
}

TEST_P(RotateTest, FaultsFillTheirBlock) {
  for (const float fault : {kNan, kInfinity}) {
    std::vector<float> x(3 * 64, 1.0f);
    x[64 + 17] = fault;
    const std::vector<float> factors(x.size(), 0.125f);
    kernels().rotate(x.data(), factors.data(), x.size(), 64, x.data());
    for (std::size_t i = 0; i < x.size(); ++i) EXPECT_EQ(std::isfinite(x[i]), i / 64 != 1) << i;
  }
}

// Signs are part of the file format. SplitMix64 from state 0 is known to give e220a8397b1dcdaf,
// 6e789e6aa1b965f4, 06c45d188009454f, f88bb8a8724c81ec, 1b39896a51a8749b.
TEST(RotationTest, SignsAreTheTopBitsOfSplitMix64) {
  std::vector<float> factors(5);
  fill_rotation(0, 4, factors);
  EXPECT_EQ(factors, (std::vector<float>{-0.5f, 0.5f, 0.5f, -0.5f, 0.5f}));
}

TEST(RotationTest, SizesAreTheRoundedRoot) {
  std::vector<float> factors(4);
  fill_rotation(1, 2, factors);
  for (const float f : factors) EXPECT_EQ(std::fabs(f), 0.70710678118654752440f);
}

TEST(RotationTest, SeedsDifferAndSignsAreBalanced) {
  std::vector<float> a(4096);
  std::vector<float> b(4096);
  fill_rotation(1, 1, a);
  fill_rotation(2, 1, b);
  const auto minus = std::count(a.begin(), a.end(), -1.0f);
  std::size_t equal = 0;
  for (std::size_t i = 0; i < a.size(); ++i) equal += a[i] == b[i] ? 1 : 0;
  // Fair coins: 2048 with a deviation of 32; 6 of those.
  EXPECT_NEAR(static_cast<double>(minus), 2048, 6 * 32);
  EXPECT_NEAR(static_cast<double>(equal), 2048, 6 * 32);
}

}  // namespace
}  // namespace sterna::kernels
