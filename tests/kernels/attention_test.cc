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
  return out << "head_dim " << s.head_dim << " n " << s.n << (s.type == KvType::f32 ? " f32" : " f16")
             << " deviation " << s.deviation;
}

// Keys and values of one head between those of others: rows are wider than the head and NaN lies between.
class Case {
 public:
  explicit Case(const Shape& s)
      : q_(Random(s.n).normals(s.head_dim, s.deviation)),
        keys_(rows(s, s.head_dim + 3, 1)),
        values_(rows(s, s.head_dim + 7, 2)),
        scores_(s.n, kNan),
        out_(s.head_dim, untouched()) {
    args_ = {q_.data(),
             keys_.data(),
             values_.data(),
             s.type,
             s.head_dim + 3,
             s.head_dim + 7,
             s.head_dim,
             s.n,
             1.0f / std::sqrt(static_cast<float>(s.head_dim)),
             scores_.data(),
             out_.data()};
  }
  AttentionArgs args_for(float* out, float* scores) {
    AttentionArgs args = args_;
    args.out = out;
    args.scores = scores;
    return args;
  }
  [[nodiscard]] const AttentionArgs& args() const { return args_; }

 private:
  static GuardedBuffer<unsigned char> rows(const Shape& s, std::size_t stride, std::uint64_t seed) {
    std::vector<float> all((s.n - 1) * stride + s.head_dim, kNan);
    Random random(seed);
    for (std::size_t j = 0; j < s.n; ++j) {
      for (std::size_t i = 0; i < s.head_dim; ++i) all[j * stride + i] = random.normal();
    }
    std::vector<unsigned char> bytes(all.size() * kv_bytes(s.type));
    scalar_kernels().kv_store(all.data(), all.size(), s.type, bytes.data());
    return GuardedBuffer<unsigned char>(bytes);
  }

  GuardedBuffer<float> q_;
  GuardedBuffer<unsigned char> keys_, values_;
  GuardedBuffer<float> scores_, out_;
  AttentionArgs args_;
};

double cached_magnitude(const void* rows, KvType type, std::size_t at) {
  return std::fabs(reference_cached(rows, type, at));
}

// How far the exponent of any p can be off: a score rounds its products, head_dim/16 + 1 additions in the
// lanes, 4 in the tree and the scale, all relative to the sum of magnitudes; the maximum is one of the
// scores, off as much; the subtraction rounds once, relative to at most twice the largest score.
double exponent_error(const AttentionArgs& a) {
  double largest = 0;
  for (std::size_t j = 0; j < a.n; ++j) {
    double magnitude = 0;
    for (std::size_t i = 0; i < a.head_dim; ++i) {
      magnitude += std::fabs(a.q[i]) * cached_magnitude(a.keys, a.type, j * a.key_stride + i);
    }
    largest = std::max(largest, a.scale * magnitude);
  }
  const double roundings = 1 + lane_additions(a.head_dim) + 4 + 1;
  return (2 * roundings + 2) * kUnit * largest;
}

// Numerator and denominator both hold p, off by the exponent's error and 2 units of exp. The numerator rounds
// a product and n additions, the denominator n/16 + 1 and 4, the quotient once. All of it relative to sum p
// |v| / sum p, which is at most the largest |v| of the column.
double tolerance(const AttentionArgs& a, std::size_t i) {
  double largest = 0;
  for (std::size_t j = 0; j < a.n; ++j) {
    largest = std::max(largest, cached_magnitude(a.values, a.type, j * a.value_stride + i));
  }
  const double n = static_cast<double>(a.n);
  const double relative = 2 * (exponent_error(a) + 2 * kUnit) + (1 + n + lane_additions(a.n) + 4 + 1) * kUnit;
  return 1.01 * relative * largest;
}

class AttentionTest : public KernelTest {
 protected:
  static void expect_agreement(const Shape& shape) {
    SCOPED_TRACE(testing::PrintToString(shape));
    Case c(shape);
    const AttentionArgs& a = c.args();
    kernels().attention(a);
    std::vector<float> scalar(shape.head_dim), scores(shape.n);
    scalar_kernels().attention(c.args_for(scalar.data(), scores.data()));
    const std::vector<double> exact = reference_attention(a);
    const double common = exponent_error(a);
    ASSERT_LT(common, 0.01) << "the bound says nothing for these numbers";
    for (std::size_t i = 0; i < shape.head_dim; ++i) {
      ASSERT_NEAR(a.out[i], exact[i], tolerance(a, i)) << i;
      ASSERT_TRUE(same(a.out[i], scalar[i])) << i;
    }
  }
};
STERNA_FOR_ALL_KERNELS(AttentionTest);

TEST_P(AttentionTest, AgreesWithTheReference) {
  for (const KvType type : {KvType::f32, KvType::f16}) {
    for (const std::size_t head_dim : {1, 8, 37, 64, 96, 100, 128, 256}) {
      for (const std::size_t n : {1, 3, 15, 16, 17, 100}) {
        for (const float deviation : {0.1f, 1.0f, 30.0f}) {
          ASSERT_NO_FATAL_FAILURE(expect_agreement({head_dim, n, type, deviation}));
        }
      }
    }
  }
  for (const KvType type : {KvType::f32, KvType::f16}) {
    ASSERT_NO_FATAL_FAILURE(expect_agreement({128, 1500, type, 1.0f}));
  }
}

// Several queries over the same keys give what each gives alone, to the bit, and touch nothing else.
TEST_P(AttentionTest, QueriesTogetherEqualQueriesAlone) {
  for (const KvType type : {KvType::f32, KvType::f16}) {
    for (const std::size_t head_dim : {8, 37, 64, 100, 128}) {
      for (const std::size_t n : {1, 2, 17, 100}) {
        Case c({head_dim, n, type, 1.0f});
        for (std::size_t queries = 1; queries <= 9; ++queries) {
          const GuardedBuffer<float> q(Random(queries).normals(queries * head_dim));
          GuardedBuffer<float> out(queries * head_dim, untouched());
          GuardedBuffer<float> scores(std::min<std::size_t>(queries, 4) * n, kNan);
          AttentionArgs together = c.args_for(out.data(), scores.data());
          together.q = q.data();
          together.queries = queries;
          kernels().attention(together);
          for (std::size_t k = 0; k < queries; ++k) {
            std::vector<float> alone(head_dim), scratch(n);
            AttentionArgs args = c.args_for(alone.data(), scratch.data());
            args.q = q.data() + k * head_dim;
            kernels().attention(args);
            for (std::size_t i = 0; i < head_dim; ++i) {
              ASSERT_TRUE(same(out[k * head_dim + i], alone[i]))
                  << "query " << k << " of " << queries << ", " << i;
            }
          }
        }
      }
    }
  }
}

TEST_P(AttentionTest, OneKeyGivesItsValue) {
  const std::vector<float> q(40, 1e4f), key(40, 1e4f);
  const std::vector<float> value = Random(1).normals(40);
  std::vector<float> out(40);
  float score = 0;
  kernels().attention(
      {q.data(), key.data(), value.data(), KvType::f32, 40, 40, 40, 1, 1.0f, &score, out.data()});
  EXPECT_EQ(out, value);
}

// Scores of +-10,000 would overflow exp without the subtraction of the maximum.
TEST_P(AttentionTest, LargeScoresDoNotOverflow) {
  const float q[1] = {100.0f};
  const float keys[3] = {-100.0f, 100.0f, 99.0f};
  const float values[3] = {1.0f, 2.0f, 3.0f};
  float scores[3];
  float out = 0;
  kernels().attention({q, keys, values, KvType::f32, 1, 1, 1, 3, 1.0f, scores, &out});
  EXPECT_EQ(out, 2.0f);
}

TEST_P(AttentionTest, NanShows) {
  std::vector<float> q(20, 1.0f), keys(60, 1.0f), values(60, 1.0f), scores(3), out(20);
  const AttentionArgs args{q.data(), keys.data(), values.data(), KvType::f32,   20,        20,
                           20,       3,           1.0f,          scores.data(), out.data()};
  values[1 * 20 + 18] = kNan;
  kernels().attention(args);
  for (std::size_t i = 0; i < 20; ++i) EXPECT_TRUE(same(out[i], i == 18 ? kNan : 1.0f)) << i;
  values[1 * 20 + 18] = 1.0f;
  keys[2 * 20 + 5] = kNan;
  kernels().attention(args);
  for (std::size_t i = 0; i < 20; ++i) EXPECT_TRUE(std::isnan(out[i])) << i;
}

}  // namespace
}  // namespace sterna::kernels
