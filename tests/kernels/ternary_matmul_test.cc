#include <functional>
#include <memory>

#include "kernels/ternary_matmul/reference.h"
#include "tests/kernels/support.h"

namespace sterna::kernels {
namespace {

struct Shape {
  std::size_t rows = 1;
  std::size_t columns = 1;
  std::size_t tokens = 1;
  std::size_t planes = 1;
  std::size_t group = 0;
  ScaleType scale_type = ScaleType::f32;
  CodeForm form = CodeForm::trit2;
};

std::ostream& operator<<(std::ostream& out, const Shape& s) {
  return out << s.rows << "x" << s.columns << " tokens " << s.tokens << " planes " << s.planes << " group "
             << s.group << (s.scale_type == ScaleType::f32 ? " f32" : " f16") << " form "
             << static_cast<int>(s.form);
}

using WeightAt = std::function<int(std::size_t row, std::size_t column)>;
using QAt = std::function<int(std::size_t token, std::size_t column)>;

// A matrix and its input in guarded memory. What the contract leaves open is filled to do harm: codes of
// padding rows and columns are random, scales of padding rows NaN, q past the last tile 127, inputs end at
// unreadable memory.
class Case {
 public:
  Case(const Shape& shape, const WeightAt& weight, const QAt& q, std::uint64_t seed = 1)
      : shape_(shape),
        random_(seed),
        codes_(packed_bytes(shape.rows, shape.columns, shape.planes, shape.form)),
        stride_(padded_columns(shape.columns) + (shape.tokens > 1 ? 32 : 0)),
        q_(shape.tokens * stride_ - (shape.tokens > 1 ? 32 : 0), 127),
        sums_(shape.tokens * sum_count()),
        inverse_scale_(random_.normals(shape.tokens)) {
    fill_codes(weight);
    fill_scales();
    for (std::size_t t = 0; t < shape.tokens; ++t) fill_q(t, q);
    x_ = {shape.tokens, shape.columns, stride_, sum_count(), q_.data(), sums_.data(), inverse_scale_.data()};
  }

  [[nodiscard]] const TernaryView& w() const { return w_; }
  [[nodiscard]] const QuantizedView& x() const { return x_; }
  [[nodiscard]] const Shape& shape() const { return shape_; }

  // The first `tokens` tokens alone.
  [[nodiscard]] QuantizedView x(std::size_t tokens) const {
    QuantizedView part = x_;
    part.tokens = tokens;
    return part;
  }

 private:
  [[nodiscard]] std::size_t sum_count() const {
    return round_up(shape_.columns, kGroupColumns) / kGroupColumns;
  }

  void fill_codes(const WeightAt& weight) {
    // Packed as a matrix without padding, whose surplus rows and columns are random weights.
    const std::size_t rows = round_up(shape_.rows, kTileRows);
    const std::size_t columns = round_up(shape_.columns, tile_columns(shape_.form));
    const int largest = max_weight(shape_.planes);
    std::vector<std::int8_t> values(rows * columns);
    for (std::size_t r = 0; r < rows; ++r) {
      for (std::size_t c = 0; c < columns; ++c) {
        const bool inside = r < shape_.rows && c < shape_.columns;
        values[r * columns + c] =
            static_cast<std::int8_t>(inside ? weight(r, c) : random_.integer(-largest, largest));
      }
    }
    pack_rows(values.data(), rows, columns, shape_.planes, codes_.data(), shape_.form);
    w_ = {shape_.rows,       shape_.columns, shape_.planes, shape_.group,
          shape_.scale_type, codes_.data(),  nullptr,       shape_.form};
  }

  void fill_scales() {
    std::vector<float> scales(w_.scale_count());
    for (std::size_t i = 0; i < scales.size(); ++i) {
      const std::size_t row = i / kTileRows / w_.groups() * kTileRows + i % kTileRows;
      scales[i] = shape_.group != 0 && row >= shape_.rows ? kNan : random_.normal(0.02f);
    }
    if (shape_.scale_type == ScaleType::f32) {
      f32_scales_ = std::make_unique<GuardedBuffer<float>>(scales);
      w_.scales = f32_scales_->data();
    } else {
      f16_scales_ = std::make_unique<GuardedBuffer<Float16Bits>>(scales.size());
      scalar_kernels().kv_store(scales.data(), scales.size(), KvType::f16, f16_scales_->data(), nullptr);
      w_.scales = f16_scales_->data();
    }
  }

  void fill_q(std::size_t token, const QAt& q) {
    for (std::size_t c = 0; c < padded_columns(shape_.columns); ++c) {
      const int value = c < shape_.columns ? q(token, c) : 0;
      q_[token * stride_ + c] = static_cast<std::int8_t>(value);
      if (c < shape_.columns) sums_[token * sum_count() + c / kGroupColumns] += value;
    }
  }

  Shape shape_;
  Random random_;
  GuardedBuffer<std::uint8_t> codes_;
  std::size_t stride_;
  GuardedBuffer<std::int8_t> q_;
  GuardedBuffer<std::int32_t> sums_;
  GuardedBuffer<float> inverse_scale_;
  std::unique_ptr<GuardedBuffer<float>> f32_scales_;
  std::unique_ptr<GuardedBuffer<Float16Bits>> f16_scales_;
  TernaryView w_;
  QuantizedView x_;
};

Case random_case(const Shape& shape, std::uint64_t seed) {
  auto random = std::make_shared<Random>(seed);
  const int largest = max_weight(shape.planes);
  return Case(
      shape, [=](std::size_t, std::size_t) { return random->integer(-largest, largest); },
      [=](std::size_t, std::size_t) { return random->integer(-127, 127); }, seed);
}

struct Expected {
  std::vector<float> y;
  std::vector<std::int32_t> d;
};

Expected reference(const Case& c) {
  Expected e;
  for (std::size_t t = 0; t < c.shape().tokens; ++t) {
    for (std::size_t r = 0; r < c.shape().rows; ++r) {
      e.y.push_back(reference_ternary_matmul(c.w(), c.x(), t, r));
      e.d.push_back(static_cast<std::int32_t>(reference_dot(c.w(), c.x(), t, r, 0, c.shape().columns)));
    }
  }
  return e;
}

// Runs both products for the first `tokens` tokens, in the given ranges of blocks, and compares everything,
// the elements between the rows of y included.
void expect_equal(const Kernels& k, const Case& c, const Expected& expected, std::size_t tokens,
                  std::size_t blocks_at_once = 1000) {
  constexpr std::int32_t kUntouchedInteger = -1234567890;
  const std::size_t rows = c.shape().rows;
  const std::size_t stride = rows + 3;
  GuardedBuffer<float> y((tokens - 1) * stride + rows, untouched());
  GuardedBuffer<std::int32_t> d(y.size(), kUntouchedInteger);
  for (std::size_t begin = 0; begin < c.w().row_blocks(); begin += blocks_at_once) {
    const std::size_t end = std::min(begin + blocks_at_once, c.w().row_blocks());
    k.ternary_matmul(c.w(), c.x(tokens), begin, end, y.data(), stride);
    k.ternary_dot(c.w(), c.x(tokens), begin, end, d.data(), stride);
  }
  for (std::size_t i = 0; i < y.size(); ++i) {
    const std::size_t t = i / stride;
    const std::size_t r = i % stride;
    ASSERT_EQ(d[i], r < rows ? expected.d[t * rows + r] : kUntouchedInteger) << "row " << r << " token " << t;
    ASSERT_EQ(bits_of(y[i]), r < rows ? bits_of(expected.y[t * rows + r]) : kUntouchedBits)
        << "row " << r << " token " << t << ": " << y[i];
  }
}

std::vector<std::size_t> groups_of(const PackedForm& f) {
  return f.takes_groups() ? std::vector<std::size_t>{0, kGroupColumns} : std::vector<std::size_t>{0};
}

class TernaryMatmulTest : public KernelTest {};
STERNA_FOR_ALL_KERNELS(TernaryMatmulTest);

TEST_P(TernaryMatmulTest, EqualsTheReferenceForAllShapes) {
  std::uint64_t seed = 0;
  for (const std::size_t columns : {1, 15, 16, 17, 37, 64, 127, 128, 129, 172, 257, 576}) {
    for (const std::size_t rows : {1, 15, 16, 17, 64, 100}) {
      for (const PackedForm& f : kPackedForms) {
        for (const std::size_t group : groups_of(f)) {
          const ScaleType scale_type = ++seed % 2 == 0 ? ScaleType::f32 : ScaleType::f16;
          const Shape shape{rows, columns, 9, f.planes, group, scale_type, f.form};
          SCOPED_TRACE(testing::PrintToString(shape));
          const Case c = random_case(shape, seed);
          const Expected expected = reference(c);
          const std::size_t tokens = 1 + seed % 9;
          ASSERT_NO_FATAL_FAILURE(expect_equal(kernels(), c, expected, 9));
          ASSERT_NO_FATAL_FAILURE(expect_equal(kernels(), c, expected, tokens));
        }
      }
    }
  }
}

TEST_P(TernaryMatmulTest, EqualsTheReferenceForModelWidths) {
  std::uint64_t seed = 1000;
  for (const std::size_t columns : {1536, 2560, 5460, 6912, 8640, 16384}) {
    for (const PackedForm& f : kPackedForms) {
      for (const std::size_t group : groups_of(f)) {
        const ScaleType scale_type = ++seed % 3 == 0 ? ScaleType::f32 : ScaleType::f16;
        const Shape shape{17, columns, 5, f.planes, group, scale_type, f.form};
        SCOPED_TRACE(testing::PrintToString(shape));
        const Case c = random_case(shape, seed);
        ASSERT_NO_FATAL_FAILURE(expect_equal(kernels(), c, reference(c), 5));
      }
    }
  }
}

TEST_P(TernaryMatmulTest, AnyNumberOfTokensGivesEachTheSameResult) {
  // Beyond the largest number that a kernel takes at once (24), and every rest.
  for (const PackedForm& f : kPackedForms) {
    const Case c = random_case({49, 300, 55, f.planes, groups_of(f).back(), ScaleType::f16, f.form}, 7);
    const Expected expected = reference(c);
    for (std::size_t tokens = 1; tokens <= 55; ++tokens) {
      ASSERT_NO_FATAL_FAILURE(expect_equal(kernels(), c, expected, tokens)) << tokens;
    }
  }
}

TEST_P(TernaryMatmulTest, AnySplitIntoRangesGivesTheSameResult) {
  for (const PackedForm& f : kPackedForms) {
    const Case c = random_case({100, 200, 5, f.planes, 0, ScaleType::f32, f.form}, 8);
    const Expected expected = reference(c);
    for (const std::size_t blocks : {1, 2, 3, 6}) {
      ASSERT_NO_FATAL_FAILURE(expect_equal(kernels(), c, expected, 5, blocks)) << blocks;
    }
  }
}

// The corners of the overflow proof: every weight and activation at an end, with signs that let nothing
// cancel, at the longest rows in use.
struct ExtremeCase {
  std::string name;
  std::unique_ptr<Case> c;
  Expected expected;
};

// Computed once for all instruction sets: the reference takes its time. 25 tokens are more than any kernel
// takes at once.
const std::vector<ExtremeCase>& extreme_cases() {
  static const std::vector<ExtremeCase> all = [] {
    const auto sign = [](std::size_t c) { return c % 2 == 0 ? 1 : -1; };
    std::vector<ExtremeCase> cases;
    const auto add = [&](const Shape& shape, const WeightAt& weight, const QAt& q, const std::string& name) {
      auto c = std::make_unique<Case>(shape, weight, q);
      Expected expected = reference(*c);
      cases.push_back({testing::PrintToString(shape) + name, std::move(c), std::move(expected)});
    };
    for (const std::size_t columns : {128, 16384}) {
      for (const PackedForm& f : kPackedForms) {
        for (const int weight : {max_weight(f.planes), -max_weight(f.planes)}) {
          for (const int q : {127, -127, -128}) {
            const std::string name = " weight " + std::to_string(weight) + " q " + std::to_string(q);
            add(
                {17, columns, 25, f.planes, 0, ScaleType::f32, f.form}, [=](auto, auto) { return weight; },
                [=](auto, auto) { return q; }, name);
            add(
                {17, columns, 25, f.planes, groups_of(f).back(), ScaleType::f32, f.form},
                [=](auto, std::size_t c) { return weight * sign(c); },
                [=](auto, std::size_t c) { return q == -128 && sign(c) < 0 ? 127 : q * sign(c); }, name);
          }
        }
      }
    }
    return cases;
  }();
  return all;
}

TEST_P(TernaryMatmulTest, ExtremesDoNotOverflow) {
  for (const ExtremeCase& extreme : extreme_cases()) {
    SCOPED_TRACE(extreme.name);
    ASSERT_NO_FATAL_FAILURE(expect_equal(kernels(), *extreme.c, extreme.expected, 25));
  }
}

// The widest matrix the views allow, which bounds int32. In the last case the second half turns round, so
// that the sums go out as far as they can and come back.
TEST_P(TernaryMatmulTest, TheWidestRowDoesNotOverflow) {
  struct Ends {
    int weight, first_half, second_half;
  };
  for (const PackedForm& f : kPackedForms) {
    if (f.form == CodeForm::trit2 && f.planes != kMaxPlanes) continue;  // those are smaller in everything
    const int largest = max_weight(f.planes);
    for (const Ends e : {Ends{largest, -128, -128}, Ends{-largest, -128, -128}, Ends{largest, 127, -128}}) {
      const Case c(
          {1, kMaxColumns, 4, f.planes, 0, ScaleType::f32, f.form}, [=](auto, auto) { return e.weight; },
          [=](auto, std::size_t at) { return at < kMaxColumns / 2 ? e.first_half : e.second_half; });
      const Expected expected = reference(c);
      ASSERT_NO_FATAL_FAILURE(expect_equal(kernels(), c, expected, 4));
      ASSERT_NO_FATAL_FAILURE(expect_equal(kernels(), c, expected, 1));
    }
  }
}

// One column at a time: no field may meet the activation of another.
TEST_P(TernaryMatmulTest, EveryColumnMeetsItsOwnActivation) {
  const std::size_t columns = 150;
  for (const PackedForm& f : kPackedForms) {
    for (std::size_t column = 0; column < columns; ++column) {
      const int largest = max_weight(f.planes);
      const Case c(
          {16, columns, 4, f.planes, 0, ScaleType::f32, f.form},
          [=](std::size_t row, std::size_t at) {
            return at == column ? static_cast<int>(row) % (largest + 1) : 0;
          },
          [=](std::size_t token, std::size_t at) {
            return static_cast<int>((at * 7 + token * 31) % 255) - 127;
          });
      ASSERT_NO_FATAL_FAILURE(expect_equal(kernels(), c, reference(c), 4)) << column;
    }
  }
}

TEST_P(TernaryMatmulTest, ANanScaleOfATokenShowsInItsRowsOnly) {
  const Case c = random_case({20, 64, 5, 1, 0, ScaleType::f32}, 9);
  std::vector<float> scales(c.x().inverse_scale, c.x().inverse_scale + 5);
  scales[2] = kNan;
  QuantizedView x = c.x();
  x.inverse_scale = scales.data();
  std::vector<float> y(100);
  kernels().ternary_matmul(c.w(), x, 0, 2, y.data(), 20);
  for (std::size_t i = 0; i < y.size(); ++i) EXPECT_EQ(std::isnan(y[i]), i / 20 == 2) << i;
}

}  // namespace
}  // namespace sterna::kernels
