// The linear algebra of a calibrated conversion: second moments, their factorisation, the fit of a matrix.
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "convert/calibrate/factor.h"
#include "convert/calibrate/fit.h"
#include "convert/calibrate/moments.h"

namespace sterna::convert {
namespace {

std::vector<float> normals(std::size_t n, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0F, 1.0F);
  std::vector<float> out(n);
  for (float& x : out) x = normal(random);
  return out;
}

// [tokens, n] whose columns are mixtures of few directions, as activations are.
std::vector<float> correlated(std::size_t tokens, std::size_t n, unsigned seed) {
  const std::size_t rank = n / 4;
  const std::vector<float> factors = normals(tokens * rank, seed);
  const std::vector<float> mixing = normals(rank * n, seed + 1);
  std::vector<float> x = normals(tokens * n, seed + 2);
  for (std::size_t t = 0; t < tokens; ++t) {
    for (std::size_t k = 0; k < rank; ++k) {
      for (std::size_t j = 0; j < n; ++j) x[t * n + j] += factors[t * rank + k] * mixing[k * n + j];
    }
  }
  return x;
}

Moments moments_of(const std::vector<float>& xq, const std::vector<float>& difference, std::size_t n,
                   std::size_t threads = 2) {
  runtime::ThreadPool pool(threads);
  Moments m(n, 0);
  m.add(xq, difference, {}, pool);
  m.finish();
  return m;
}

Moments moments_of(const std::vector<float>& xq, std::size_t n) {
  return moments_of(xq, std::vector<float>(xq.size()), n);
}

Fitted fit_one(const std::vector<float>& w, std::size_t rows, std::size_t planes, const Moments& m,
               const FitOptions& options, std::size_t threads = 2) {
  runtime::ThreadPool pool(threads);
  const auto factor = factorise(m.second(), m.columns(), options.act_order);
  EXPECT_TRUE(factor.ok());
  const FitTask task{w, rows, planes, false};
  return std::move(fit({&task, 1}, m, *factor, options, pool).front());
}

// Rounding to nearest alone.
FitOptions plain_options() {
  FitOptions o;
  o.alpha = o.beta = 0.0;
  o.feedback = false;
  o.descent_rounds = 0;
  return o;
}

TEST(Moments, AreThoseOfTheTokens) {
  const std::size_t tokens = 70;
  const std::size_t n = 72;
  const std::size_t m = 40;
  const auto xq = normals(tokens * n, 1);
  const auto difference = normals(tokens * n, 2);
  const auto drift = normals(tokens * m, 3);
  runtime::ThreadPool pool(3);
  Moments moments(n, m);
  const std::size_t half = 30;
  moments.add(std::span(xq).first(half * n), std::span(difference).first(half * n),
              std::span(drift).first(half * m), pool);
  moments.add(std::span(xq).subspan(half * n), std::span(difference).subspan(half * n),
              std::span(drift).subspan(half * m), pool);
  moments.finish();
  const auto expect = [&](const std::vector<float>& left, std::size_t width, std::span<const float> got) {
    for (std::size_t i = 0; i < width; ++i) {
      for (std::size_t j = 0; j < n; ++j) {
        double sum = 0.0;
        double magnitude = 0.0;
        for (std::size_t t = 0; t < tokens; ++t) {
          const double product =
              static_cast<double>(left[t * width + i]) * static_cast<double>(xq[t * n + j]);
          sum += product;
          magnitude += std::abs(product);
        }
        // A float sum of `tokens` rounded products, in any order, and a division.
        const double tolerance = (tokens + 2) * 0x1p-24 * magnitude / tokens;
        ASSERT_NEAR(got[i * n + j], sum / tokens, tolerance) << i << " " << j;
      }
    }
  };
  expect(xq, n, moments.second());
  expect(difference, n, moments.difference());
  expect(drift, m, moments.drift());
}

TEST(Moments, HaveTheSameBitsWithAnyNumberOfThreads) {
  const std::size_t n = 200;
  const auto x = normals(64 * n, 4);
  const auto d = normals(64 * n, 5);
  const Moments one = moments_of(x, d, n, 1);
  const Moments three = moments_of(x, d, n, 3);
  for (std::size_t i = 0; i < n * n; ++i) {
    ASSERT_EQ(one.second()[i], three.second()[i]);
    ASSERT_EQ(one.difference()[i], three.difference()[i]);
  }
}

TEST(Factor, GivesInverseAndUpperFactorInTheOrderOfTheDiagonal) {
  const std::size_t n = 48;
  const Moments m = moments_of(correlated(500, n, 7), n);
  const auto f = factorise(m.second(), n);
  ASSERT_TRUE(f.ok()) << f.error().message;
  EXPECT_EQ(f->damping, kDamping);
  const auto diagonal = [&](std::size_t i) { return m.second()[f->order[i] * n + f->order[i]]; };
  for (std::size_t i = 1; i < n; ++i) ASSERT_GE(diagonal(i - 1), diagonal(i));
  // Computed in double from a float matrix, rounded once: an element of Hd Hd^-1 is a sum of n products, each
  // off by 2^-24 of itself.
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < n; ++j) {
      double product = 0.0;
      double magnitude = 0.0;
      double square = 0.0;
      double inverse = static_cast<double>(f->inverse[f->order[i] * n + f->order[j]]);
      for (std::size_t k = 0; k < n; ++k) {
        const double term =
            static_cast<double>(f->damped[i * n + k]) * static_cast<double>(f->inverse[k * n + j]);
        product += term;
        magnitude += std::abs(term);
        square += static_cast<double>(f->upper[k * n + i]) * static_cast<double>(f->upper[k * n + j]);
      }
      ASSERT_NEAR(product, i == j ? 1.0 : 0.0, 2 * 0x1p-23 * magnitude);
      ASSERT_NEAR(square, inverse, n * 0x1p-22 * std::abs(f->inverse[f->order[i] * n + f->order[i]]) + 1e-9);
      ASSERT_TRUE(j >= i || f->upper[i * n + j] == 0.0F);
    }
  }
}

TEST(Factor, DampingGrowsUntilAMatrixCanBeFactorised) {
  // Eigenvalues 4 and -2; the mean of the diagonal is 1, so that 0.01, 0.1 and 1 are too little.
  const std::vector<float> indefinite = {1, 3, 3, 1};
  const auto f = factorise(indefinite, 2);
  ASSERT_TRUE(f.ok());
  EXPECT_DOUBLE_EQ(f->damping, 10.0);
}

TEST(Factor, InputsThatNeverSpeakAreNoObstacle) {
  const std::size_t n = 16;
  const auto zeros = factorise(std::vector<float>(n * n), n);
  ASSERT_TRUE(zeros.ok());
  std::vector<float> x = normals(100 * n, 9);
  for (std::size_t t = 0; t < 100; ++t) x[t * n + 3] = 0.0F;
  const Moments m = moments_of(x, n);
  const auto f = factorise(m.second(), n);
  ASSERT_TRUE(f.ok());
  EXPECT_EQ(f->order.back(), 3U);
  for (const float u : f->upper) ASSERT_TRUE(std::isfinite(u));
}

TEST(Fit, IsFarBetterThanRoundingForInputsThatAreAlike) {
  const std::size_t n = 160;  // two groups, the second short
  const std::size_t rows = 40;
  const Moments m = moments_of(correlated(2000, n, 11), n);
  const auto w = normals(rows * n, 12);
  FitOptions ours;
  ours.alpha = ours.beta = 0.0;
  for (const std::size_t planes : {1U, 2U, 3U}) {
    const Fitted plain = fit_one(w, rows, planes, m, plain_options());
    const Fitted fitted = fit_one(w, rows, planes, m, ours);
    EXPECT_EQ(plain.signal, fitted.signal);
    // A quarter of the directions carry nearly all of the inputs; rounding errors can be moved to the others.
    EXPECT_LT(fitted.loss, 0.35 * plain.loss) << planes;
    ours.descent_rounds = 0;
    EXPECT_LT(fitted.loss, fit_one(w, rows, planes, m, ours).loss) << "descent must help, " << planes;
    ours.descent_rounds = 2;
  }
}

TEST(Fit, FindsWeightsThatAreOnTheGrid) {
  const std::size_t n = 128;
  const std::size_t rows = 33;
  const Moments m = moments_of(correlated(600, n, 13), n);
  std::mt19937 random(14);
  for (const std::size_t planes : {1U, 2U, 3U}) {
    const int limit = planes == 1 ? 1 : planes == 2 ? 4 : 13;
    std::uniform_int_distribution<int> level(-limit, limit);
    std::vector<float> w(rows * n);
    std::vector<int> levels(rows * n);
    for (std::size_t i = 0; i < w.size(); ++i) {
      levels[i] = level(random);
      w[i] = 0.125F * static_cast<float>(levels[i]);  // a step that f16 holds
    }
    const Fitted f = fit_one(w, rows, planes, m, FitOptions{});
    // The uniform distribution is wider than what the grid of steps is made for, so that 27 levels need not
    // be found; then the loss is small all the same.
    if (planes == 3) {
      EXPECT_LT(f.loss, 1e-3 * f.signal);
      continue;
    }
    EXPECT_LT(f.loss, 1e-6 * f.signal) << planes;
    for (std::size_t i = 0; i < w.size(); ++i) ASSERT_EQ(f.matrix.levels[i], levels[i]) << planes << " " << i;
  }
}

TEST(Fit, RowsOfZerosAndDeadInputsAndOutliersStayFinite) {
  const std::size_t n = 144;
  const std::size_t rows = 35;
  std::vector<float> x = correlated(800, n, 15);
  for (std::size_t t = 0; t < 800; ++t) {
    x[t * n + 5] *= 1000.0F;  // an outlier channel
    x[t * n + 6] = 0.0F;      // a dead one
  }
  const Moments m = moments_of(x, n);
  std::vector<float> w = normals(rows * n, 16);
  std::fill_n(w.begin() + 7 * n, n, 0.0F);
  for (const std::size_t planes : {1U, 2U, 3U}) {
    const Fitted f = fit_one(w, rows, planes, m, FitOptions{});
    EXPECT_TRUE(std::isfinite(f.loss));
    EXPECT_LE(f.loss, fit_one(w, rows, planes, m, plain_options()).loss) << planes;
    for (std::size_t j = 0; j < n; ++j) ASSERT_EQ(f.matrix.levels[7 * n + j], 0);
    for (const float s : f.matrix.scales) ASSERT_TRUE(std::isfinite(s) && s >= 0.0F);
  }
}

TEST(Fit, MakesGoodWhatTheInputsLack) {
  // The quantised inputs are the float ones, shrunk and disturbed. Against the outputs that the float inputs
  // give, the corrected weights must do better.
  const std::size_t n = 64;
  const std::size_t rows = 24;
  const std::size_t tokens = 1500;
  const auto xf = correlated(tokens, n, 17);
  const auto noise = normals(tokens * n, 18);
  std::vector<float> xq(xf.size());
  std::vector<float> difference(xf.size());
  for (std::size_t i = 0; i < xf.size(); ++i) {
    xq[i] = 0.8F * xf[i] + 0.1F * noise[i];
    difference[i] = xf[i] - xq[i];
  }
  const Moments m = moments_of(xq, difference, n);
  const auto w = normals(rows * n, 19);
  const auto outputs_off = [&](double alpha) {
    FitOptions options;
    options.alpha = alpha;
    const Fitted f = fit_one(w, rows, 3, m, options);
    std::vector<float> q(rows * n);
    f.matrix.dequantize(q);
    double off = 0.0;
    for (std::size_t t = 0; t < tokens; ++t) {
      for (std::size_t r = 0; r < rows; ++r) {
        double y = 0.0;
        for (std::size_t j = 0; j < n; ++j) {
          y += static_cast<double>(w[r * n + j]) * static_cast<double>(xf[t * n + j]) -
               static_cast<double>(q[r * n + j]) * static_cast<double>(xq[t * n + j]);
        }
        off += y * y;
      }
    }
    return off;
  };
  const double without = outputs_off(0.0);
  EXPECT_LT(outputs_off(0.5), 0.5 * without);
  EXPECT_LT(outputs_off(1.0), 0.25 * without);
}

TEST(Fit, HasTheSameBitsWithAnyNumberOfThreads) {
  const std::size_t n = 130;
  const std::size_t rows = 70;
  const Moments m = moments_of(correlated(300, n, 20), n);
  const auto w = normals(rows * n, 21);
  const Fitted one = fit_one(w, rows, 2, m, FitOptions{}, 1);
  const Fitted three = fit_one(w, rows, 2, m, FitOptions{}, 3);
  EXPECT_EQ(one.matrix.levels, three.matrix.levels);
  EXPECT_EQ(one.matrix.scales, three.matrix.scales);
  EXPECT_EQ(one.loss, three.loss);
}

}  // namespace
}  // namespace sterna::convert
