#include "kernels/dense_matmul/reference.h"
#include "tests/kernels/support.h"

namespace sterna::kernels {
namespace {

constexpr DenseType kTypes[] = {DenseType::f32, DenseType::f16, DenseType::bf16, DenseType::i8};

// A matrix of any type in guarded memory. The halves are any finite number of moderate size, both signs.
class Matrix {
 public:
  Matrix(std::size_t rows, std::size_t columns, DenseType type, std::uint64_t seed)
      : bytes_(rows * columns * dense_bytes(type)), row_scales_(Random(seed).normals(rows)) {
    Random random(seed + 1);
    for (std::size_t i = 0; i < rows * columns; ++i) {
      const float f = random.normal();
      // exponents around that of 1: 2^-8 .. 2^3 in both formats
      const int half =
          type == DenseType::f16 ? random.integer(0x1C00, 0x4BFF) : random.integer(0x3B80, 0x417F);
      const auto sign = static_cast<std::uint16_t>(random.integer(0, 1) << 15);
      const auto h = static_cast<std::uint16_t>(half | sign);
      const auto b = static_cast<std::int8_t>(random.integer(-128, 127));
      const void* element = type == DenseType::f32  ? static_cast<const void*>(&f)
                            : type == DenseType::i8 ? &b
                                                    : static_cast<const void*>(&h);
      std::memcpy(bytes_.data() + i * dense_bytes(type), element, dense_bytes(type));
    }
    view_ = {rows, columns, type, bytes_.data(), type == DenseType::i8 ? row_scales_.data() : nullptr};
  }
  [[nodiscard]] const DenseView& view() const { return view_; }

 private:
  GuardedBuffer<unsigned char> bytes_;
  GuardedBuffer<float> row_scales_;
  DenseView view_;
};

// A product is rounded, then added up at most n/16 + 1 times in its lane and 4 times in the tree; for i8 the
// scale rounds once more. First order in the unit, so a little more than that.
double tolerance(std::size_t columns, double magnitude) {
  const double roundings = 1 + lane_additions(columns) + 4 + 1;
  return 1.01 * roundings * kUnit * magnitude + kSmallest;
}

void expect_agreement(const Kernels& k, const DenseView& w, std::size_t tokens, std::size_t rows_at_once) {
  const std::size_t x_stride = w.columns + 5;
  const std::size_t y_stride = w.rows + 2;
  GuardedBuffer<float> x((tokens - 1) * x_stride + w.columns, kNan);  // between the rows of x: NaN
  for (std::size_t t = 0; t < tokens; ++t) {
    const auto row = Random(t).normals(w.columns);
    std::copy(row.begin(), row.end(), x.data() + t * x_stride);
  }
  GuardedBuffer<float> y((tokens - 1) * y_stride + w.rows, untouched());
  std::vector<float> alone(w.rows);
  for (std::size_t begin = 0; begin < w.rows; begin += rows_at_once) {
    k.dense_matmul(w, x.data(), tokens, x_stride, begin, std::min(begin + rows_at_once, w.rows), y.data(),
                   y_stride);
  }
  for (std::size_t t = 0; t < tokens; ++t) {
    scalar_kernels().dense_matmul(w, x.data() + t * x_stride, 1, 0, 0, w.rows, alone.data(), 0);
    for (std::size_t r = 0; r < w.rows; ++r) {
      const float result = y[t * y_stride + r];
      const ReferenceSum exact = reference_dense(w, x.data() + t * x_stride, r);
      ASSERT_NEAR(result, exact.value, tolerance(w.columns, exact.magnitude))
          << "row " << r << " token " << t;
      ASSERT_TRUE(same(result, alone[r]))
          << "row " << r << " token " << t << ": differs from scalar, one token";
    }
    for (std::size_t r = w.rows; t + 1 < tokens && r < y_stride; ++r) {
      ASSERT_EQ(bits_of(y[t * y_stride + r]), kUntouchedBits) << "written past the row";
    }
  }
}

class DenseMatmulTest : public KernelTest {};
STERNA_FOR_ALL_KERNELS(DenseMatmulTest);

TEST_P(DenseMatmulTest, AgreesWithTheReference) {
  for (const DenseType type : kTypes) {
    for (const std::size_t columns : kLengths) {
      for (const std::size_t rows : {1, 7}) {
        SCOPED_TRACE(testing::Message() << rows << "x" << columns << " type " << static_cast<int>(type));
        const Matrix w(rows, columns, type, columns);
        ASSERT_NO_FATAL_FAILURE(expect_agreement(kernels(), w.view(), 1, rows));
        ASSERT_NO_FATAL_FAILURE(expect_agreement(kernels(), w.view(), 6, rows));
      }
    }
  }
}

TEST_P(DenseMatmulTest, TokensAndRangesDoNotChangeAResult) {
  for (const DenseType type : kTypes) {
    const Matrix w(19, 37, type, 3);
    for (std::size_t tokens = 1; tokens <= 9; ++tokens) {
      for (const std::size_t rows_at_once : {1, 3, 4, 19}) {
        ASSERT_NO_FATAL_FAILURE(expect_agreement(kernels(), w.view(), tokens, rows_at_once)) << tokens;
      }
    }
  }
}

TEST_P(DenseMatmulTest, NanStaysInItsRowAndToken) {
  std::vector<float> weights(120, 1.0f);
  weights[59] = kNan;
  const DenseView w{6, 20, DenseType::f32, weights.data(), nullptr};
  std::vector<float> x(100, 1.0f);
  x[60] = kInfinity;
  std::vector<float> y(30);
  kernels().dense_matmul(w, x.data(), 5, 20, 0, 6, y.data(), 6);
  for (std::size_t t = 0; t < 5; ++t) {
    for (std::size_t r = 0; r < 6; ++r) {
      EXPECT_TRUE(same(y[t * 6 + r], r == 2 ? kNan : t == 3 ? kInfinity : 20.0f)) << t << "," << r;
    }
  }
}

}  // namespace
}  // namespace sterna::kernels
