// Operations on one row of floats: norm (also straight to int8), rotary embedding, gate, residual.
#include "kernels/add/reference.h"
#include "kernels/gated_activation/reference.h"
#include "kernels/rms_norm/reference.h"
#include "kernels/rope/reference.h"
#include "tests/kernels/support.h"

namespace sterna::kernels {
namespace {

class RmsNormTest : public KernelTest {};
STERNA_FOR_ALL_KERNELS(RmsNormTest);

TEST_P(RmsNormTest, AgreesWithTheReference) {
  for (const std::size_t n : kLengths) {
    for (const bool gain : {true, false}) {
      const GuardedBuffer<float> x(Random(n).normals(n, 3.0f));
      const GuardedBuffer<float> weight(Random(n + 1).normals(n));
      const float* w = gain ? weight.data() : nullptr;
      GuardedBuffer<float> y(n, untouched());
      GuardedBuffer<float> in_place(std::vector<float>(x.data(), x.data() + n));
      std::vector<float> scalar(n);
      std::vector<double> exact(n);
      kernels().rms_norm(x.data(), w, n, 1e-5f, y.data());
      kernels().rms_norm(in_place.data(), w, n, 1e-5f, in_place.data());
      scalar_kernels().rms_norm(x.data(), w, n, 1e-5f, scalar.data());
      reference_rms_norm(x.data(), w, n, 1e-5f, exact.data());
      // Sum of n squares, no cancellation: a square is rounded, then added up n/16 times in its lane and 4
      // times in the tree. Mean and eps round twice, the root halves what came so far and rounds, 1/ and the
      // two products round.
      const double tolerance = (0.5 * (1 + lane_additions(n) + 4 + 2) + 1 + 1 + 2) * kUnit;
      for (std::size_t i = 0; i < n; ++i) {
        ASSERT_NEAR(y[i], exact[i], tolerance * std::fabs(exact[i]) + kSmallest) << i << " of " << n;
        ASSERT_TRUE(same(y[i], scalar[i])) << i << " of " << n;
        ASSERT_TRUE(same(y[i], in_place[i])) << i << " of " << n;
      }
    }
  }
}

TEST_P(RmsNormTest, ZerosStayZeroAndNanShows) {
  std::vector<float> x(40, 0.0f);
  kernels().rms_norm(x.data(), nullptr, x.size(), 1e-6f, x.data());
  EXPECT_EQ(x, std::vector<float>(40, 0.0f));
  x[39] = kNan;
  kernels().rms_norm(x.data(), nullptr, x.size(), 1e-6f, x.data());
  EXPECT_TRUE(std::all_of(x.begin(), x.end(), [](float v) { return std::isnan(v); }));
}

class RmsNormQuantizeTest : public KernelTest {
 protected:
  // Against the two operations of the same table, and of the scalar one.
  static void expect_both(const std::vector<float>& values, const float* weight, float eps,
                          std::size_t stride) {
    const std::size_t n = values.size();
    const std::size_t groups = round_up(n, kGroupColumns) / kGroupColumns;
    const GuardedBuffer<float> x(values);
    GuardedBuffer<std::int8_t> q(stride, 99);
    GuardedBuffer<std::int32_t> sums(groups, 99);
    GuardedBuffer<float> inverse_scale(1);
    kernels().rms_norm_quantize(x.data(), weight, n, eps, stride, q.data(), sums.data(),
                                inverse_scale.data());
    for (const Kernels* k : {&kernels(), &scalar_kernels()}) {
      std::vector<float> y(n);
      std::vector<std::int8_t> expected(stride);
      std::vector<std::int32_t> expected_sums(groups);
      float expected_scale = 0;
      k->rms_norm(x.data(), weight, n, eps, y.data());
      k->quantize(y.data(), n, stride, expected.data(), expected_sums.data(), &expected_scale);
      ASSERT_TRUE(same(inverse_scale[0], expected_scale)) << inverse_scale[0] << " " << expected_scale;
      ASSERT_TRUE(std::equal(q.begin(), q.end(), expected.begin())) << n << " columns, " << k->name;
      ASSERT_TRUE(std::equal(sums.begin(), sums.end(), expected_sums.begin())) << n << " columns";
    }
  }
  static void expect_both(const std::vector<float>& x, const std::vector<float>& gain, float eps = 1e-5f) {
    const GuardedBuffer<float> weight(gain);
    for (const std::size_t padding : {0, 64}) {
      const std::size_t stride = round_up(x.size(), kTileColumns) + padding;
      ASSERT_NO_FATAL_FAILURE(expect_both(x, weight.data(), eps, stride));
      ASSERT_NO_FATAL_FAILURE(expect_both(x, nullptr, eps, stride));
    }
  }
};
STERNA_FOR_ALL_KERNELS(RmsNormQuantizeTest);

TEST_P(RmsNormQuantizeTest, EqualsTheTwoOperations) {
  for (const std::size_t n : kLengths) {
    for (const float deviation : {1e-8f, 1.0f, 1e10f}) {
      ASSERT_NO_FATAL_FAILURE(expect_both(Random(n).normals(n, deviation), Random(n + 1).normals(n)));
    }
  }
}

TEST_P(RmsNormQuantizeTest, FaultsAndZerosToo) {
  const std::vector<float> gain = Random(2).normals(150);
  for (const float fault : {kNan, kInfinity, -kInfinity, 1e30f}) {
    for (const std::size_t at : {0, 15, 16, 130, 149}) {
      std::vector<float> x = Random(at).normals(150);
      std::vector<float> faulty_gain = gain;
      x[at] = fault;
      faulty_gain[at] = fault;
      ASSERT_NO_FATAL_FAILURE(expect_both(x, gain)) << fault << " at " << at;
      ASSERT_NO_FATAL_FAILURE(expect_both(Random(at).normals(150), faulty_gain)) << fault << " at " << at;
    }
  }
  // Without eps a row of zeros, or of what squares to zero, is divided by zero.
  for (const float value : {0.0f, -0.0f, 1e-30f}) {
    for (const float eps : {0.0f, 1e-6f}) {
      ASSERT_NO_FATAL_FAILURE(expect_both(std::vector<float>(150, value), gain, eps)) << value;
    }
  }
}

class RopeTest : public KernelTest {};
STERNA_FOR_ALL_KERNELS(RopeTest);

TEST_P(RopeTest, AgreesWithTheReference) {
  for (const std::size_t head_dim : {2, 6, 8, 30, 32, 34, 64, 96, 100, 128, 256}) {
    for (const std::size_t heads : {1, 3}) {
      const std::size_t half = head_dim / 2;
      const std::vector<float> x = Random(head_dim).normals(heads * head_dim);
      const GuardedBuffer<float> cos(Random(1).normals(half));
      const GuardedBuffer<float> sin(Random(2).normals(half));
      GuardedBuffer<float> y(x);
      std::vector<float> scalar = x;
      std::vector<double> exact(x.size());
      kernels().rope(y.data(), heads, head_dim, cos.data(), sin.data());
      scalar_kernels().rope(scalar.data(), heads, head_dim, cos.data(), sin.data());
      reference_rope(x.data(), heads, head_dim, cos.data(), sin.data(), exact.data());
      for (std::size_t i = 0; i < x.size(); ++i) {
        // Two products and their sum, each rounded once: at most two units of the magnitude.
        const std::size_t in_head = i % head_dim;
        const std::size_t partner = in_head < half ? i + half : i - half;
        const double c = cos[in_head % half];
        const double s = sin[in_head % half];
        const double magnitude = std::fabs(x[i] * c) + std::fabs(x[partner] * s);
        ASSERT_NEAR(y[i], exact[i], 2 * kUnit * magnitude * 1.001 + 2 * kSmallest) << i << " of " << head_dim;
        ASSERT_TRUE(same(y[i], scalar[i])) << i << " of " << head_dim;
      }
    }
  }
}

// cos = 0, sin = 1 is a quarter turn: (a, b) -> (-b, a). It tells the halves and the sign apart.
TEST_P(RopeTest, AQuarterTurn) {
  std::vector<float> x = {1, 2, 3, 4, 5, 6};
  const float cos[3] = {0, 0, 0};
  const float sin[3] = {1, 1, 1};
  kernels().rope(x.data(), 1, 6, cos, sin);
  EXPECT_EQ(x, (std::vector<float>{-4, -5, -6, 1, 2, 3}));
}

class GatedActivationTest : public KernelTest {};
STERNA_FOR_ALL_KERNELS(GatedActivationTest);

// silu: exp is within 2 units, 1 + e and the quotient and the product round: 2 + 3. Below g = -88.7 exp(-g)
// is infinite and the result 0, off by at most 88.8 exp(-88.7) = 2.7e-37 times up. relu2: two products.
double gate_tolerance(double exact, double up, GateFunction function) {
  if (function == GateFunction::relu2)
    return 2.001 * kUnit * std::fabs(exact) + kSmallest * (1 + std::fabs(up));
  return 5.001 * kUnit * std::fabs(exact) + 2.7e-37 * std::fabs(up) + kSmallest;
}

TEST_P(GatedActivationTest, AgreesWithTheReference) {
  for (const GateFunction function : {GateFunction::silu, GateFunction::relu2}) {
    for (const std::size_t n : kLengths) {
      for (const float deviation : {0.01f, 2.0f, 60.0f}) {
        const GuardedBuffer<float> gate(Random(n).normals(n, deviation));
        const GuardedBuffer<float> up(Random(n + 1).normals(n));
        GuardedBuffer<float> out(n, untouched());
        GuardedBuffer<float> in_place(std::vector<float>(gate.data(), gate.data() + n));
        std::vector<float> scalar(n);
        kernels().gated_activation(gate.data(), up.data(), n, function, out.data());
        kernels().gated_activation(in_place.data(), up.data(), n, function, in_place.data());
        scalar_kernels().gated_activation(gate.data(), up.data(), n, function, scalar.data());
        for (std::size_t i = 0; i < n; ++i) {
          const double exact = reference_gated(gate[i], up[i], function);
          ASSERT_NEAR(out[i], exact, gate_tolerance(exact, up[i], function)) << gate[i];
          ASSERT_TRUE(same(out[i], scalar[i])) << gate[i];
          ASSERT_TRUE(same(out[i], in_place[i])) << gate[i];
        }
      }
    }
  }
}

TEST_P(GatedActivationTest, SpecialValues) {
  const std::vector<float> gate = {kNan, kInfinity, -kInfinity, 0.0f, -0.0f, -1000.0f, 1000.0f, -3.0f};
  const std::vector<float> up(gate.size(), 1.0f);
  std::vector<float> out(gate.size());
  kernels().gated_activation(gate.data(), up.data(), gate.size(), GateFunction::silu, out.data());
  EXPECT_TRUE(std::isnan(out[0]));
  EXPECT_EQ(out[1], kInfinity);
  EXPECT_TRUE(std::isnan(out[2]));
  EXPECT_EQ(out[3], 0.0f);
  EXPECT_EQ(out[4], 0.0f);
  EXPECT_EQ(out[5], 0.0f);
  EXPECT_EQ(out[6], 1000.0f);
  kernels().gated_activation(gate.data(), up.data(), gate.size(), GateFunction::relu2, out.data());
  EXPECT_TRUE(std::isnan(out[0]));
  EXPECT_EQ(std::vector<float>(out.begin() + 1, out.end()),
            (std::vector<float>{kInfinity, 0, 0, 0, 0, 1e6f, 0}));
}

class AddTest : public KernelTest {};
STERNA_FOR_ALL_KERNELS(AddTest);

TEST_P(AddTest, EqualsTheReference) {
  for (const std::size_t n : kLengths) {
    const GuardedBuffer<float> x(Random(n).normals(n));
    const std::vector<float> before = Random(n + 1).normals(n);
    GuardedBuffer<float> y(before);
    kernels().add(x.data(), n, y.data());
    for (std::size_t i = 0; i < n; ++i) ASSERT_EQ(y[i], reference_add(x[i], before[i])) << i << " of " << n;
  }
}

}  // namespace
}  // namespace sterna::kernels
