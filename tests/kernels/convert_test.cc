// Conversions: rows of a dense matrix to float32, floats into the key/value cache, activations to int8.
#include "kernels/dense_row/reference.h"
#include "kernels/kv_store/reference.h"
#include "kernels/quantize/reference.h"
#include "tests/kernels/support.h"

namespace sterna::kernels {
namespace {

class DenseRowTest : public KernelTest {};
STERNA_FOR_ALL_KERNELS(DenseRowTest);

// The matrix that is one row of all 65,536 values.
TEST_P(DenseRowTest, ConvertsEveryHalfExactly) {
  std::vector<std::uint16_t> all(65536);
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::uint16_t>(i);
  for (const DenseType type : {DenseType::f16, DenseType::bf16}) {
    const DenseView w{1, all.size(), type, all.data(), nullptr};
    std::vector<float> out(all.size());
    kernels().dense_row(w, 0, out.data());
    for (std::size_t i = 0; i < all.size(); ++i) {
      const double expected = reference_weight(w, 0, i);
      if (std::isnan(expected)) {
        ASSERT_TRUE(std::isnan(out[i])) << i;
      } else {
        ASSERT_EQ(bits_of(out[i]), bits_of(static_cast<float>(expected))) << i;  // bits: -0 is not 0
      }
    }
  }
}

template <class T>
void expect_rows(const Kernels& k, DenseType type, const std::vector<T>& elements, std::size_t columns) {
  const std::size_t rows = elements.size() / columns;
  const GuardedBuffer<T> data(elements);
  const std::vector<float> row_scales = Random(columns).normals(rows);
  const DenseView w{rows, columns, type, data.data(), row_scales.data()};
  for (std::size_t r = 0; r < rows; ++r) {
    GuardedBuffer<float> out(columns, untouched());
    k.dense_row(w, r, out.data());
    for (std::size_t c = 0; c < columns; ++c) {
      ASSERT_EQ(out[c], static_cast<float>(reference_weight(w, r, c))) << "row " << r << " column " << c;
    }
  }
}

TEST_P(DenseRowTest, TakesItsRowAndNoMore) {
  for (const std::size_t columns : kLengths) {
    Random random(columns);
    std::vector<float> floats = random.normals(3 * columns);
    std::vector<std::uint16_t> halves(3 * columns);
    std::vector<std::int8_t> bytes(3 * columns);
    for (auto& h : halves) h = static_cast<std::uint16_t>(random.integer(0x2000, 0x4000));
    for (auto& b : bytes) b = static_cast<std::int8_t>(random.integer(-128, 127));
    ASSERT_NO_FATAL_FAILURE(expect_rows(kernels(), DenseType::f32, floats, columns));
    ASSERT_NO_FATAL_FAILURE(expect_rows(kernels(), DenseType::f16, halves, columns));
    ASSERT_NO_FATAL_FAILURE(expect_rows(kernels(), DenseType::bf16, halves, columns));
    ASSERT_NO_FATAL_FAILURE(expect_rows(kernels(), DenseType::i8, bytes, columns));
  }
}

class KvStoreTest : public KernelTest {};
STERNA_FOR_ALL_KERNELS(KvStoreTest);

// Where rounding can go wrong: every half, the middle to the next one, and the floats on both sides of each.
std::vector<float> rounding_cases() {
  std::vector<float> x;
  for (std::uint32_t h = 0; h < 0x7C00; ++h) {
    const double here = reference_half(static_cast<std::uint16_t>(h), 5);
    const double next = h == 0x7BFF ? 65536.0 : reference_half(static_cast<std::uint16_t>(h + 1), 5);
    for (const double value : {here, (here + next) / 2}) {
      const auto middle = static_cast<float>(value);  // exact: 12 significant bits
      for (const float v : {std::nextafterf(middle, 0.0f), middle, std::nextafterf(middle, kInfinity)}) {
        x.push_back(v);
        x.push_back(-v);
      }
    }
  }
  Random random(5);
  for (int i = 0; i < 100000; ++i) x.push_back(float_of(random.bits()));
  for (const float v : {kInfinity, -kInfinity, 0x1p-149f, -0x1p-149f, 3.4e38f, -3.4e38f}) x.push_back(v);
  return x;
}

TEST_P(KvStoreTest, RoundsToTheNearestHalf) {
  const std::vector<float> x = rounding_cases();
  std::vector<Float16Bits> out(x.size());
  kernels().kv_store(x.data(), x.size(), KvType::f16, out.data(), nullptr);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double expected = reference_round_to_f16(x[i]);
    const double stored = reference_half(out[i], 5);
    if (std::isnan(expected)) {
      ASSERT_TRUE(std::isnan(stored)) << bits_of(x[i]);
    } else {
      ASSERT_EQ(stored, expected) << x[i];
      ASSERT_EQ(std::signbit(stored), std::signbit(x[i])) << x[i];
    }
  }
}

TEST_P(KvStoreTest, WritesNElementsOfItsType) {
  for (const std::size_t n : kLengths) {
    const GuardedBuffer<float> x(Random(n).normals(n));
    GuardedBuffer<Float16Bits> halves(n, 0xFFFF);
    GuardedBuffer<float> floats(n, untouched());
    kernels().kv_store(x.data(), n, KvType::f16, halves.data(), nullptr);
    kernels().kv_store(x.data(), n, KvType::f32, floats.data(), nullptr);
    for (std::size_t i = 0; i < n; ++i) {
      ASSERT_EQ(reference_half(halves[i], 5), reference_round_to_f16(x[i]));
      ASSERT_EQ(bits_of(floats[i]), bits_of(x[i]));
    }
    GuardedBuffer<std::int8_t> bytes(kv_stride(KvType::i8, n), 55);
    float scale = 0;
    kernels().kv_store(x.data(), n, KvType::i8, bytes.data(), &scale);
    const ReferenceQuantized expected = reference_quantize({x.data(), n});
    ASSERT_EQ(bits_of(scale), bits_of(expected.inverse_scale));
    for (std::size_t i = 0; i < bytes.size(); ++i) ASSERT_EQ(bytes[i], i < n ? expected.q[i] : 0) << i;
  }
}

class QuantizeTest : public KernelTest {
 protected:
  static void expect_reference(const std::vector<float>& values, std::size_t stride) {
    const GuardedBuffer<float> x(values);
    const ReferenceQuantized expected = reference_quantize(values);
    GuardedBuffer<std::int8_t> q(stride, 99);
    GuardedBuffer<std::int32_t> sums(expected.sums.size(), 99);
    GuardedBuffer<float> inverse_scale(1);
    kernels().quantize(x.data(), x.size(), stride, q.data(), sums.data(), inverse_scale.data());
    ASSERT_TRUE(same(inverse_scale[0], expected.inverse_scale))
        << inverse_scale[0] << " " << expected.inverse_scale;
    for (std::size_t c = 0; c < stride; ++c) ASSERT_EQ(q[c], c < x.size() ? expected.q[c] : 0) << c;
    for (std::size_t g = 0; g < sums.size(); ++g) ASSERT_EQ(sums[g], expected.sums[g]) << g;
  }
  static std::size_t padded(std::size_t n) { return round_up(n, kTileColumns); }
};
STERNA_FOR_ALL_KERNELS(QuantizeTest);

TEST_P(QuantizeTest, EqualsTheReference) {
  for (const std::size_t n : kLengths) {
    for (const float deviation : {1e-6f, 1.0f, 1e30f}) {
      const std::vector<float> x = Random(n).normals(n, deviation);
      ASSERT_NO_FATAL_FAILURE(expect_reference(x, padded(n))) << n;
      ASSERT_NO_FATAL_FAILURE(expect_reference(x, padded(n) + 64)) << n;
    }
  }
}

// max = 127 makes a = 1, so the ties are exact.
TEST_P(QuantizeTest, RoundsHalvesToEven) {
  std::vector<float> x = {127.0f};
  for (int i = -126; i < 127; ++i) x.push_back(static_cast<float>(i) + 0.5f);
  ASSERT_NO_FATAL_FAILURE(expect_reference(x, padded(x.size())));
  GuardedBuffer<std::int8_t> q(padded(4));
  std::int32_t sum = 0;
  float inverse_scale = 0;
  const float ties[4] = {127.0f, 0.5f, 1.5f, -2.5f};
  kernels().quantize(ties, 4, 16, q.data(), &sum, &inverse_scale);
  EXPECT_EQ(std::vector<int>(q.begin(), q.begin() + 4), (std::vector<int>{127, 0, 2, -2}));
  EXPECT_EQ(sum, 127);
  EXPECT_EQ(inverse_scale, 1.0f);
}

TEST_P(QuantizeTest, ZerosStayZeroWithAFiniteFactor) {
  ASSERT_NO_FATAL_FAILURE(expect_reference(std::vector<float>(37, 0.0f), 48));
  ASSERT_NO_FATAL_FAILURE(expect_reference(std::vector<float>(37, -0.0f), 48));
  ASSERT_NO_FATAL_FAILURE(expect_reference(std::vector<float>(37, 0x1p-149f), 48));
}

TEST_P(QuantizeTest, NeverLeaves127) {
  Random random(3);
  for (int trial = 0; trial < 20000; ++trial) {
    const float largest = std::fabs(float_of(random.bits()));
    if (!std::isfinite(largest)) continue;
    const float x[2] = {largest, -largest};
    std::int8_t q[16];
    std::int32_t sum = 0;
    float inverse_scale = 0;
    kernels().quantize(x, 2, 16, q, &sum, &inverse_scale);
    ASSERT_LE(q[0], 127);
    ASSERT_EQ(q[1], -q[0]) << largest;
    ASSERT_EQ(q[0] == 127, largest >= 0.996e-5f) << largest;  // 126.5 / 127 * 1e-5 and more rounds to 127
  }
}

TEST_P(QuantizeTest, AFaultyValueAnywhereSpoilsTheToken) {
  for (const float fault : {kNan, -kNan, kInfinity, -kInfinity}) {
    for (const std::size_t at : {0, 15, 16, 36, 130, 149}) {
      std::vector<float> x = Random(at).normals(150);
      x[at] = fault;
      ASSERT_NO_FATAL_FAILURE(expect_reference(x, 160)) << fault << " at " << at;
    }
  }
}

}  // namespace
}  // namespace sterna::kernels
