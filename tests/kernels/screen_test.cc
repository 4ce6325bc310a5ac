// Split rows: what is packed comes back, and no product is above what the screening says.
#include <cmath>
#include <vector>

#include "kernels/split_row/pack.h"
#include "kernels/split_row/reference.h"
#include "tests/kernels/support.h"

namespace sterna::kernels {
namespace {

using Values = std::vector<std::int8_t>;

// A split matrix whose parts end at unreadable pages.
class SplitMatrix {
 public:
  SplitMatrix(const Values& values, std::size_t columns, const std::vector<float>& scales)
      : scales_(scales),
        bounds_(scales.size() * kSplitBounds),
        codes_(shape(scales.size(), columns).code_bytes()) {
    view_ = shape(scales.size(), columns);
    view_.row_scales = scales_.data();
    view_.codes = codes_.data();
    for (std::size_t row = 0; row < view_.rows; ++row) {
      pack_split_row(view_, row, values.data() + row * columns, codes_.data() + view_.high_at(row),
                     codes_.data() + view_.plane_at(0, 0), bounds_.data());
    }
    view_.bounds = bounds_.data();
  }
  [[nodiscard]] const SplitView& view() const { return view_; }
  [[nodiscard]] SplitRow row(std::size_t r) const { return view_.row(r); }

 private:
  static SplitView shape(std::size_t rows, std::size_t columns) {
    SplitView view;
    view.rows = rows;
    view.columns = columns;
    return view;
  }
  std::uint8_t* plane(std::size_t i, std::size_t row) { return codes_.data() + view_.plane_at(i, row); }

  GuardedBuffer<float> scales_;
  GuardedBuffer<float> bounds_;
  GuardedBuffer<std::uint8_t> codes_;
  SplitView view_;
};

Values random_values(std::size_t n, std::uint64_t seed) {
  Random random(seed);
  Values values(n);
  for (std::int8_t& v : values) v = static_cast<std::int8_t>(random.integer(-127, 127));
  return values;
}

// x with its screening, and center and upper of every row at every level.
struct Screened {
  std::vector<std::int8_t> q;
  ScreenInput input;
  std::vector<float> center[kScreenLevels];
  std::vector<float> upper[kScreenLevels];
};

Screened screened(const Kernels& k, SplitMatrix& w, const std::vector<float>& x) {
  const SplitView& view = w.view();
  Screened s;
  s.q.resize(screen_input_bytes(view.columns));
  EXPECT_TRUE(prepare_screen_input(x.data(), x.size(), s.q.data(), s.input));
  const GuardedBuffer<std::int8_t> q(s.q);
  s.input.q = q.data();
  for (std::size_t level = 0; level < kScreenLevels; ++level) {
    s.center[level] = level == 0 ? std::vector<float>(view.rows) : s.center[level - 1];
    s.upper[level].resize(view.rows);
    if (level == 0) k.screen(view, view.codes, s.input, 0, view.rows, s.center[0].data(), s.upper[0].data());
    for (std::size_t r = 0; level > 0 && r < view.rows; ++r) {
      const float bound = level == 1 ? view.bounds[view.rows + r] : 0.0F;
      k.screen_plane(w.row(r).planes[level - 1], view.columns, s.input, level, {view.row_scales[r], bound},
                     &s.center[level][r], &s.upper[level][r]);
    }
  }
  return s;
}

class ScreenTest : public KernelTest {};
STERNA_FOR_ALL_KERNELS(ScreenTest);

TEST_P(ScreenTest, WhatIsSplitComesBack) {
  for (const std::size_t columns : kLengths) {
    const Values values = random_values(3 * columns, columns);
    SplitMatrix w(values, columns, {1, 1, 1});
    for (std::size_t r = 0; r < 3; ++r) {
      GuardedBuffer<std::int8_t> out(columns);
      kernels().split_row(w.row(r), columns, out.data());
      for (std::size_t c = 0; c < columns; ++c) {
        ASSERT_EQ(out[c], values[r * columns + c]) << columns << ": " << r << "," << c;
        ASSERT_EQ(reference_split(w.view(), r, c), values[r * columns + c]);
      }
    }
  }
}

TEST_P(ScreenTest, GivesTheBitsOfTheScalarKernel) {
  for (const std::size_t columns : kLengths) {
    for (const std::size_t rows : {1U, 4U, 5U}) {
      SplitMatrix w(random_values(rows * columns, columns), columns, Random(rows).normals(rows));
      const std::vector<float> x = Random(columns + 1).normals(columns);
      const Screened a = screened(kernels(), w, x);
      const Screened b = screened(scalar_kernels(), w, x);
      for (std::size_t level = 0; level < kScreenLevels; ++level) {
        ASSERT_EQ(a.center[level], b.center[level]) << rows << "x" << columns << " level " << level;
        ASSERT_EQ(a.upper[level], b.upper[level]) << rows << "x" << columns << " level " << level;
      }
    }
  }
}

// The promise: no product that dense_matmul computes is above `upper`, nor further below the center than
// `upper` is above it. Its own float rounding is in that, so there is nothing to tolerate.
void expect_bounded(const Kernels& k, const Values& values, const std::vector<float>& x, float scale) {
  const std::size_t rows = values.size() / x.size();
  SplitMatrix w(values, x.size(), std::vector<float>(rows, scale));
  const Screened s = screened(k, w, x);
  const DenseView dense{rows, x.size(), DenseType::i8, values.data(), w.view().row_scales};
  std::vector<float> y(rows);
  k.dense_matmul(dense, x.data(), 1, 0, 0, rows, y.data(), rows);
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t level = 0; level < kScreenLevels; ++level) {
      const double room = static_cast<double>(s.upper[level][r]) - s.center[level][r];
      ASSERT_LE(y[r], s.upper[level][r]) << "row " << r << " level " << level;
      ASSERT_LE(std::fabs(static_cast<double>(y[r]) - s.center[level][r]), room * (1 + 1e-6))
          << "row " << r << " level " << level;
    }
  }
}

TEST_P(ScreenTest, NoProductIsAboveItsBound) {
  constexpr std::size_t kRows = 40;
  for (const std::size_t columns : {1U, 16U, 100U, 576U, 2560U}) {
    for (unsigned kind = 0; kind < 6; ++kind) {
      SCOPED_TRACE(testing::Message() << columns << " columns, kind " << kind);
      Random random(kind);
      std::vector<float> x = random.normals(columns);
      if (kind == 1) x[columns / 2] = 60;  // one outlier
      if (kind == 2) x.assign(columns, 0.0F);
      if (kind == 3) {
        for (float& e : x) e = std::ldexp(e, random.integer(-30, 0));
      }
      if (kind == 4) {
        for (float& e : x) e *= 1e-38F;  // many are subnormal
      }
      if (kind == 5) {
        for (float& e : x) e *= 1e31F;
      }
      ASSERT_NO_FATAL_FAILURE(expect_bounded(kernels(), random_values(kRows * columns, columns), x, 0.01F));
      ASSERT_NO_FATAL_FAILURE(expect_bounded(kernels(), random_values(columns, columns), x, -3.0F));
    }
  }
}

// Rows whose low bits all have the sign of x, so that what is left out adds up and the bound is reached; the
// high bits are any, or the ends.
TEST_P(ScreenTest, RowsThatReachTheBoundDoNotCrossIt) {
  for (const std::size_t columns : {3U, 128U, 2560U}) {
    for (const int high : {0, 1, 16, 31}) {
      for (const int left_out : {7, 3, 1}) {
        Random random(columns);
        const std::vector<float> x = random.normals(columns);
        Values values(2 * columns);
        for (std::size_t c = 0; c < columns; ++c) {
          const int known = 7 - left_out;
          const int up = 8 * high + known + (x[c] > 0 ? left_out : 0) - 128;
          const int down = 8 * high + known + (x[c] > 0 ? 0 : left_out) - 128;
          values[c] = static_cast<std::int8_t>(std::max(up, -127));
          values[columns + c] = static_cast<std::int8_t>(std::max(down, -127));
        }
        ASSERT_NO_FATAL_FAILURE(expect_bounded(kernels(), values, x, 0.02F)) << high << " " << left_out;
      }
    }
  }
}

// A bound that were infinite would be right and of no use: it is at most half the step for every weight.
TEST_P(ScreenTest, BoundsAreWhatTheBitsLeaveOut) {
  constexpr double kHalf[] = {3.5, 1.5, 0.5};
  for (const std::size_t columns : {100U, 2560U}) {
    SplitMatrix w(random_values(8 * columns, 5), columns, std::vector<float>(8, 0.5F));
    const std::vector<float> x = Random(1).normals(columns);
    const Screened s = screened(kernels(), w, x);
    double sum = 0;
    for (const float e : x) sum += std::fabs(e);
    for (std::size_t level = 0; level < kScreenLevels; ++level) {
      for (std::size_t r = 0; r < 8; ++r) {
        // The constant terms are below 0.02 of sum|x|: |f| is at most s / 2 = max|x| / 65024.
        EXPECT_LE(s.upper[level][r] - s.center[level][r], 0.5 * (kHalf[level] + 0.02) * sum) << level;
      }
    }
  }
}

TEST_P(ScreenTest, TheWidestRowDoesNotOverflow) {
  constexpr std::size_t kColumns = kSplitMaxColumns;
  for (const float sign : {1.0F, -1.0F}) {
    const std::vector<float> x(kColumns, sign);
    Values values(2 * kColumns, 127);
    std::fill_n(values.begin(), kColumns, static_cast<std::int8_t>(-127));
    SplitMatrix w(values, kColumns, {1, 1});
    const Screened s = screened(kernels(), w, x);
    // All u are 0 or 31: 8 u - 124.5, and exactly so, as all x are multiples of s.
    EXPECT_EQ(s.center[0][0], sign * -124.5F * kColumns);
    EXPECT_EQ(s.center[0][1], sign * 123.5F * kColumns);
    EXPECT_EQ(s.center[2][0], sign * -127.5F * kColumns);
    ASSERT_NO_FATAL_FAILURE(expect_bounded(kernels(), values, x, 1.0F));
  }
}

TEST(ScreenInputTest, RefusesWhatHasNoBound) {
  std::vector<float> x(100, 1.0F);
  std::vector<std::int8_t> q(screen_input_bytes(x.size()));
  ScreenInput input;
  EXPECT_TRUE(prepare_screen_input(x.data(), x.size(), q.data(), input));
  for (const float bad : {kNan, kInfinity, -kInfinity, 3e38F}) {
    x[70] = bad;
    EXPECT_FALSE(prepare_screen_input(x.data(), x.size(), q.data(), input)) << bad;
  }
}

// Against the definition in double precision: rounded up, by less than a millionth.
TEST(SplitBoundsTest, AreTheNormsOfWhatIsLeftOut) {
  for (const std::size_t columns : kLengths) {
    const Values values = random_values(columns, columns + 9);
    const SplitMatrix w(values, columns, {1});
    constexpr double kCentre[] = {3.5, 1.5};
    for (std::size_t level = 0; level < kSplitBounds; ++level) {
      double squares = 0;
      for (const std::int8_t v : values) {
        const double left = (v + 128) % (level == 0 ? 8 : 4) - kCentre[level];
        squares += left * left;
      }
      EXPECT_GE(static_cast<double>(w.view().bounds[level]) * w.view().bounds[level], squares);
      EXPECT_LE(w.view().bounds[level], std::sqrt(squares) * (1 + 1e-6));
    }
  }
}

}  // namespace
}  // namespace sterna::kernels
