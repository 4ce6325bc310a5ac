// Log-sum-exp and Kullback-Leibler divergence of rows of logits.
#include "kernels/divergence/divergence.h"

#include "kernels/divergence/reference.h"
#include "tests/kernels/support.h"

namespace sterna::kernels {
namespace {

const std::vector<std::size_t> kVocabularies = {1,    2,    3,    15,   16,   17,    512,   1000,
                                                1023, 1024, 1025, 1040, 4096, 32002, 49152, 128256};

class DivergenceTest : public KernelTest {
 protected:
  static double log_sum_exp(const GuardedBuffer<float>& x) {
    const SoftmaxTotal sums = kernels().softmax_total(x.data(), x.size());
    return static_cast<double>(sums.maximum) + std::log(sums.total);
  }
  static double divergence(const GuardedBuffer<float>& p, const GuardedBuffer<float>& q) {
    const SoftmaxTotal ps = kernels().softmax_total(p.data(), p.size());
    const SoftmaxTotal qs = kernels().softmax_total(q.data(), q.size());
    const double sum = kernels().divergence_sum(p.data(), ps.maximum, q.data(), qs.maximum, p.size());
    return sum / ps.total - std::log(ps.total) + std::log(qs.total);
  }
};
STERNA_FOR_ALL_KERNELS(DivergenceTest);

// Relative error of a sum of positive terms over blocks: an exponential is within 2 units, its argument
// rounded once (a unit of its magnitude), a lane adds up to 64 of them and the tree makes four more
// additions.
double total_tolerance(const float* x, std::size_t n, float maximum) {
  double weighted = 0;
  double total = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const double below = static_cast<double>(x[i]) - static_cast<double>(maximum);
    weighted += std::exp(below) * std::fabs(below);
    total += std::exp(below);
  }
  return (weighted / total + 2 + 64 + 4) * kUnit * 1.001;
}

TEST_P(DivergenceTest, LogSumExpAgreesWithTheReference) {
  for (const std::size_t n : kVocabularies) {
    for (const float deviation : {0.0f, 1.0f, 5.0f, 40.0f}) {
      const GuardedBuffer<float> x(deviation == 0 ? std::vector<float>(n, 1.5f)
                                                  : Random(n).normals(n, deviation));
      const SoftmaxTotal sums = kernels().softmax_total(x.data(), n);
      const SoftmaxTotal scalar = scalar_kernels().softmax_total(x.data(), n);
      ASSERT_EQ(sums.maximum, *std::max_element(x.data(), x.data() + n)) << n;
      ASSERT_EQ(sums.total, scalar.total) << n;  // the same bits everywhere
      // The logarithm turns a relative error into an absolute one.
      ASSERT_NEAR(log_sum_exp(x), reference_log_sum_exp(x.data(), n),
                  total_tolerance(x.data(), n, sums.maximum) + 1e-14 * std::fabs(sums.maximum))
          << n << " " << deviation;
    }
  }
}

TEST_P(DivergenceTest, DivergenceAgreesWithTheReference) {
  for (const std::size_t n : kVocabularies) {
    for (const float change : {1e-3f, 0.1f, 3.0f}) {
      const GuardedBuffer<float> p(Random(n).normals(n, 4.0f));
      std::vector<float> changed = Random(n + 1).normals(n, change);
      for (std::size_t i = 0; i < n; ++i) changed[i] += p[i];
      const GuardedBuffer<float> q(changed);
      const SoftmaxTotal ps = kernels().softmax_total(p.data(), n);
      const SoftmaxTotal qs = kernels().softmax_total(q.data(), n);
      ASSERT_EQ(kernels().divergence_sum(p.data(), ps.maximum, q.data(), qs.maximum, n),
                scalar_kernels().divergence_sum(p.data(), ps.maximum, q.data(), qs.maximum, n));
      // A term is p times a difference d of two rounded differences: it inherits a unit of each magnitude,
      // and the relative errors of the exponential, of d, of the product and of 68 additions; then those of
      // two totals.
      double error = 0;
      for (std::size_t i = 0; i < n; ++i) {
        const double p_below = static_cast<double>(p[i]) - ps.maximum;
        const double q_below = static_cast<double>(q[i]) - qs.maximum;
        const double weight = std::exp(p_below) / ps.total;
        const double d = std::fabs(p_below - q_below);
        error += weight * (std::fabs(p_below) + std::fabs(q_below) + d * (2 + std::fabs(p_below) + 2 + 68));
      }
      const double tolerance = error * kUnit * 1.01 + 2 * total_tolerance(p.data(), n, ps.maximum) +
                               2 * total_tolerance(q.data(), n, qs.maximum);
      ASSERT_NEAR(divergence(p, q), reference_divergence(p.data(), q.data(), n), tolerance)
          << n << " " << change;
    }
  }
}

TEST_P(DivergenceTest, OfARowFromItselfIsExactlyZero) {
  for (const std::size_t n : kVocabularies) {
    const GuardedBuffer<float> p(Random(n).normals(n, 6.0f));
    const GuardedBuffer<float> q(std::vector<float>(p.data(), p.data() + n));
    ASSERT_EQ(divergence(p, q), 0.0) << n;
  }
}

// Two classes, logits 0 and t: KL is a formula.
TEST_P(DivergenceTest, HasTheClosedFormOfTwoClasses) {
  const GuardedBuffer<float> p(std::vector<float>{0.0f, 2.0f});
  const GuardedBuffer<float> q(std::vector<float>{0.0f, 1.0f});
  const double a = 1 / (1 + std::exp(-2.0));
  const double b = 1 / (1 + std::exp(-1.0));
  const double expected = a * std::log(a / b) + (1 - a) * std::log((1 - a) / (1 - b));
  EXPECT_NEAR(divergence(p, q), expected, 40 * kUnit);
}

TEST_P(DivergenceTest, NanShows) {
  for (const std::size_t at : {0, 5, 16, 1029}) {
    std::vector<float> values = Random(at).normals(1030);
    values[at] = kNan;
    const GuardedBuffer<float> x(values);
    EXPECT_TRUE(std::isnan(kernels().softmax_total(x.data(), x.size()).total)) << at;
  }
}

}  // namespace
}  // namespace sterna::kernels
