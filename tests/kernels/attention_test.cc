#include "kernels/attention/reference.h"
#include "tests/kernels/support.h"

namespace sterna::kernels {
namespace {

struct Shape {
  std::size_t head_dim;
  std::size_t n;
  KvType type;
  float deviation;  // of the query: 0.1 gives even weights, 30 all weight to one key
};

std::ostream& operator<<(std::ostream& out, const Shape& s) {
  const char* type = s.type == KvType::f32 ? "f32" : s.type == KvType::f16 ? "f16" : "int8";
  return out << "head_dim " << s.head_dim << " n " << s.n << " " << type << " deviation " << s.deviation;
}

constexpr KvType kTypes[] = {KvType::f32, KvType::f16, KvType::i8};

// Keys or values of one head: rows are wider than the head and NaN, or extreme numbers, lie between.
class Rows {
 public:
  Rows(const Shape& s, std::size_t gap, std::uint64_t seed)
      : Rows(s, kv_stride(s.type, s.head_dim) + gap, Random(seed).normals(s.n * s.head_dim)) {}
  Rows(const Shape& s, std::size_t row_stride, const std::vector<float>& numbers)
      : stride(row_stride),
        data(((s.n - 1) * stride + kv_stride(s.type, s.head_dim)) * kv_bytes(s.type), 0xFF),
        scales(s.n, kNan) {
    for (std::size_t j = 0; j < s.n; ++j) {
      scalar_kernels().kv_store(numbers.data() + j * s.head_dim, s.head_dim, s.type,
                                data.data() + j * stride * kv_bytes(s.type), &scales[j]);
    }
  }
  std::size_t stride;
  GuardedBuffer<unsigned char> data;
  GuardedBuffer<float> scales;
};

// Queries, keys and values, and attention over them with nothing written beside the result.
class Case {
 public:
  explicit Case(const Shape& s, std::size_t queries = 1)
      : q_(Random(s.n + queries).normals(queries * s.head_dim, s.deviation)),
        keys_(s, 3, 1),
        values_(s, 7, 2) {
    args_.q = q_.data();
    args_.keys = keys_.data.data();
    args_.values = values_.data.data();
    args_.key_scales = keys_.scales.data();
    args_.value_scales = values_.scales.data();
    args_.type = s.type;
    args_.key_stride = keys_.stride;
    args_.value_stride = values_.stride;
    args_.head_dim = s.head_dim;
    args_.n = s.n;
    args_.scale = 1.0f / std::sqrt(static_cast<float>(s.head_dim));
    args_.queries = queries;
  }
  [[nodiscard]] const AttentionArgs& args() const { return args_; }

 private:
  GuardedBuffer<float> q_;
  Rows keys_, values_;
  AttentionArgs args_;
};

// All chunks one by one, the last one first, then merged.
std::vector<float> attend(const Kernels& k, const AttentionArgs& a) {
  const std::size_t chunks = attention_chunks(a.n);
  const std::size_t row = chunks * partial_floats(a.head_dim);
  GuardedBuffer<float> partial(a.queries * row, untouched());
  for (std::size_t c = chunks; c-- > 0;) k.attention(a, c, c + 1, partial.data());
  GuardedBuffer<float> out(a.queries * a.head_dim, untouched());
  for (std::size_t i = 0; i < a.queries; ++i) {
    k.attention_merge(partial.data() + i * row, chunks, a.head_dim, out.data() + i * a.head_dim);
  }
  return {out.begin(), out.end()};
}

// How far the exponent of any p can be off: a score rounds its products, head_dim/16 + 1 additions in the
// lanes, 4 in the tree and the scale, all relative to the sum of magnitudes (of an int8 cache: the integer,
// two scales and two products); the maximum is one of the scores, off as much; the subtractions of the
// chunk's maximum and of that of all round once each, relative to at most twice the largest score.
double exponent_error(const AttentionArgs& a) {
  const std::vector<double> q = reference_query(a);
  double largest = 0;
  for (std::size_t j = 0; j < a.n; ++j) {
    double magnitude = 0;
    for (std::size_t i = 0; i < a.head_dim; ++i) {
      magnitude += std::fabs(q[i] * reference_key(a, j, i));
    }
    largest = std::max(largest, a.scale * magnitude);
  }
  const double roundings = std::max(1 + lane_additions(a.head_dim) + 4 + 1, 5.0);
  return (2 * roundings + 4) * kUnit * largest;
}

// Numerator and denominator both hold p and f, off by the exponent's error and 2 units of exp each. The
// numerator rounds two products (three with a scale) and n additions and those of the chunks, the denominator
// n/16 + 1 and 4 and a product, and as many for the chunks, the quotient once. All of it relative to sum p
// |v| / sum p, which is at most the largest |v| of the column.
double tolerance(const AttentionArgs& a, std::size_t i) {
  double largest = 0;
  for (std::size_t j = 0; j < a.n; ++j) {
    largest = std::max(largest, std::fabs(reference_value(a, j, i)));
  }
  const double n = static_cast<double>(a.n);
  const double chunks = 2 * static_cast<double>(attention_chunks(a.n));
  const double relative =
      2 * (exponent_error(a) + 4 * kUnit) + (3 + n + lane_additions(a.n) + 4 + 1 + chunks + 1) * kUnit;
  return 1.01 * relative * largest;
}

class AttentionTest : public KernelTest {
 protected:
  static void expect_agreement(const Shape& shape) {
    SCOPED_TRACE(testing::PrintToString(shape));
    const Case c(shape);
    const AttentionArgs& a = c.args();
    const std::vector<float> out = attend(kernels(), a);
    const std::vector<float> scalar = attend(scalar_kernels(), a);
    const std::vector<double> exact = reference_attention(a);
    const double common = exponent_error(a);
    ASSERT_LT(common, 0.01) << "the bound says nothing for these numbers";
    for (std::size_t i = 0; i < shape.head_dim; ++i) {
      ASSERT_NEAR(out[i], exact[i], tolerance(a, i)) << i;
      ASSERT_TRUE(same(out[i], scalar[i])) << i;
    }
  }
};
STERNA_FOR_ALL_KERNELS(AttentionTest);

TEST_P(AttentionTest, AgreesWithTheReference) {
  for (const KvType type : kTypes) {
    for (const std::size_t head_dim : {1, 8, 37, 64, 96, 100, 128, 256}) {
      for (const std::size_t n : {1, 3, 15, 16, 17, 100}) {
        for (const float deviation : {0.1f, 1.0f, 30.0f}) {
          ASSERT_NO_FATAL_FAILURE(expect_agreement({head_dim, n, type, deviation}));
        }
      }
    }
    for (const std::size_t n : {511, 512, 513, 1024, 1500}) {  // around the border of a chunk
      ASSERT_NO_FATAL_FAILURE(expect_agreement({128, n, type, 1.0f}));
      ASSERT_NO_FATAL_FAILURE(expect_agreement({37, n, type, 30.0f}));
    }
  }
}

// Several queries over the same keys give what each gives alone, to the bit, and touch nothing else.
TEST_P(AttentionTest, QueriesTogetherEqualQueriesAlone) {
  for (const KvType type : kTypes) {
    for (const std::size_t head_dim : {8, 37, 64, 100, 128}) {
      for (const std::size_t n : {1, 2, 17, 100, 515}) {
        for (std::size_t queries = 1; queries <= 9; ++queries) {
          const Case c({head_dim, n, type, 1.0f}, queries);
          const std::vector<float> together = attend(kernels(), c.args());
          for (std::size_t k = 0; k < queries; ++k) {
            AttentionArgs args = c.args();
            args.q += k * head_dim;
            args.queries = 1;
            const std::vector<float> alone = attend(kernels(), args);
            for (std::size_t i = 0; i < head_dim; ++i) {
              ASSERT_TRUE(same(together[k * head_dim + i], alone[i]))
                  << "query " << k << " of " << queries << ", " << i;
            }
          }
        }
      }
    }
  }
}

// Written out by hand: two keys in int8 with their scales, the weights exp(0) and exp(-ln 4) of them.
TEST_P(AttentionTest, Int8ByHand) {
  const float log4 = std::log(4.0f);
  const float q[2] = {1.0f, 0.0f};             // 127 and 0, times 1 / 127
  const std::int8_t keys[2 * 64] = {127, 50};  // log4 * (1, 50 / 127)
  std::int8_t values[2 * 64] = {100, -100};
  values[64] = 20;
  values[65] = 127;
  const float key_scales[2] = {log4 / 127.0f, log4};  // the second key is 0
  const float value_scales[2] = {0.5f, 2.0f};
  AttentionArgs a;
  a.q = q;
  a.keys = keys;
  a.values = values;
  a.key_scales = key_scales;
  a.value_scales = value_scales;
  a.type = KvType::i8;
  a.key_stride = a.value_stride = 64;
  a.head_dim = 2;
  a.n = 2;
  const std::vector<float> out = attend(kernels(), a);
  // (4 * 50 + 1 * 40) / 5 and (4 * -50 + 254) / 5; a few roundings of 2^-24, twenty allowed
  EXPECT_NEAR(out[0], 48.0, 48 * 20 * kUnit);
  EXPECT_NEAR(out[1], 10.8, 50 * 20 * kUnit);
}

AttentionArgs plain(const float* q, const float* keys, const float* values, std::size_t head_dim,
                    std::size_t n) {
  AttentionArgs a;
  a.q = q;
  a.keys = keys;
  a.values = values;
  a.key_stride = a.value_stride = a.head_dim = head_dim;
  a.n = n;
  return a;
}

TEST_P(AttentionTest, OneKeyGivesItsValue) {
  const std::vector<float> q(40, 1e4f), key(40, 1e4f);
  const std::vector<float> value = Random(1).normals(40);
  EXPECT_EQ(attend(kernels(), plain(q.data(), key.data(), value.data(), 40, 1)), value);
}

// Scores of +-10,000 would overflow exp without the subtraction of the maximum.
TEST_P(AttentionTest, LargeScoresDoNotOverflow) {
  const float q[1] = {100.0f};
  const float keys[3] = {-100.0f, 100.0f, 99.0f};
  const float values[3] = {1.0f, 2.0f, 3.0f};
  EXPECT_EQ(attend(kernels(), plain(q, keys, values, 1, 3)), std::vector<float>{2.0f});
}

// A chunk whose scores lie far below those of another one adds nothing.
TEST_P(AttentionTest, ChunksOfVeryDifferentScores) {
  const float q[1] = {100.0f};
  std::vector<float> keys(1100, -100.0f), values(1100, 3.0f);
  keys[600] = 100.0f;
  values[600] = 7.0f;
  EXPECT_EQ(attend(kernels(), plain(q, keys.data(), values.data(), 1, 1100)), std::vector<float>{7.0f});
}

TEST_P(AttentionTest, NanShows) {
  for (const std::size_t n : {3, 700}) {
    const std::vector<float> q(20, 1.0f);
    std::vector<float> keys(n * 20, 1.0f), values(n * 20, 1.0f);
    const AttentionArgs args = plain(q.data(), keys.data(), values.data(), 20, n);
    values[1 * 20 + 18] = kNan;
    std::vector<float> out = attend(kernels(), args);
    for (std::size_t i = 0; i < 20; ++i) EXPECT_TRUE(same(out[i], i == 18 ? kNan : 1.0f)) << i;
    values[1 * 20 + 18] = 1.0f;
    keys[2 * 20 + 5] = kNan;
    out = attend(kernels(), args);
    for (std::size_t i = 0; i < 20; ++i) EXPECT_TRUE(std::isnan(out[i])) << i;
  }
}

TEST_P(AttentionTest, NanShowsInAnInt8Cache) {
  const Shape shape{20, 3, KvType::i8, 1.0f};
  const std::vector<float> ones(60, 1.0f);
  std::vector<float> faulty = ones;
  faulty[25] = kNan;
  Rows good(shape, 64, ones), bad(shape, 64, faulty);
  std::vector<float> q(20, 1.0f);
  AttentionArgs a = plain(q.data(), nullptr, nullptr, 20, 3);
  a.type = KvType::i8;
  a.key_stride = a.value_stride = 64;
  for (int fault = 0; fault < 3; ++fault) {
    q[3] = fault == 2 ? kNan : 1.0f;
    a.keys = (fault == 0 ? bad : good).data.data();
    a.key_scales = (fault == 0 ? bad : good).scales.data();
    a.values = (fault == 1 ? bad : good).data.data();
    a.value_scales = (fault == 1 ? bad : good).scales.data();
    for (const float x : attend(kernels(), a)) EXPECT_TRUE(std::isnan(x)) << fault;
  }
}

}  // namespace
}  // namespace sterna::kernels
