// Linears of every kind get the bits that the operations in front of them give one after the other.
#include "runtime/linear.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "kernels/rotate/factors.h"
#include "kernels/rotate/reference.h"
#include "kernels/ternary_matmul/pack.h"
#include "tests/support/engine.h"
#include "tests/support/small_config.h"

namespace sterna::runtime {
namespace {

constexpr std::size_t kTokens = 5;
constexpr std::size_t kColumns = 48;  // of small_config()
constexpr std::size_t kRows = 20;
constexpr std::size_t kBlock = 16;
constexpr float kEps = 1e-5F;
constexpr float kOwnEps = 1e-3F;

std::vector<float> normals(unsigned seed, std::size_t n) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> v(n);
  for (float& x : v) x = normal(random);
  return v;
}

const kernels::Kernels& k() { return testing::test_kernels(); }

// A ternary and a dense matrix, each with and without a norm of its own, the ternary one also with a
// rotation.
struct Linears {
  Linears() : codes(kernels::packed_bytes(kRows, kColumns, 1) / sizeof(Line)) {
    std::vector<std::int8_t> trits(kRows * kColumns);
    std::mt19937 random(3);
    for (std::int8_t& t : trits) t = static_cast<std::int8_t>(static_cast<int>(random() % 3) - 1);
    kernels::pack_rows(trits.data(), kRows, kColumns, 1, codes.front().bytes);
    ternary.weight = Matrix(
        kernels::TernaryView{kRows, kColumns, 1, 0, kernels::ScaleType::f32, codes.front().bytes, &scale});
    dense.weight =
        Matrix(kernels::DenseView{kRows, kColumns, kernels::DenseType::f32, floats.data(), nullptr});
    normed_ternary = ternary;
    normed_ternary.norm = own_norm.data();
    normed_dense = dense;
    normed_dense.norm = own_norm.data();
    kernels::fill_rotation(7, kBlock, factors);
    rotated = ternary;
    rotated.rotation = factors.data();
    rotated.rotation_block = kBlock;
    normed_rotated = rotated;
    normed_rotated.norm = own_norm.data();
  }

  struct alignas(64) Line {
    std::uint8_t bytes[64];
  };
  std::vector<Line> codes;
  float scale = 0.25F;
  std::vector<float> floats = normals(4, kRows* kColumns);
  std::vector<float> own_norm = normals(5, kColumns);
  std::vector<float> factors = std::vector<float>(kColumns);
  Linear ternary, dense, normed_ternary, normed_dense, rotated, normed_rotated;
};

// What `linear` gives for the row y, an operation at a time.
std::vector<float> product(const Linear& linear, std::vector<float> y) {
  std::vector<float> out(kRows);
  if (linear.norm != nullptr) k().rms_norm(y.data(), linear.norm, kColumns, kOwnEps, y.data());
  if (!linear.weight.ternary) {
    k().dense_matmul(linear.weight.dense, y.data(), 1, kColumns, 0, kRows, out.data(), kRows);
    return out;
  }
  if (linear.rotation != nullptr) {
    const std::vector<float> plain = y;
    kernels::reference_rotate(plain.data(), linear.rotation, kColumns, kBlock, y.data());
  }
  std::vector<std::int8_t> q(kColumns);
  std::int32_t sum = 0;
  float inverse_scale = 0;
  k().quantize(y.data(), kColumns, kColumns, q.data(), &sum, &inverse_scale);
  k().ternary_matmul(linear.weight.trits, {1, kColumns, kColumns, 1, q.data(), &sum, &inverse_scale}, 0, 2,
                     out.data(), kRows);
  return out;
}

struct Front {
  bool residual, gate, norm;
};

void expect_step_by_step(const Front& front, std::span<const Linear* const> linears) {
  ThreadPool pool(2);
  auto scratch = Activations::create(testing::small_config(), kTokens, 64, pool.size());
  ASSERT_TRUE(scratch);
  const std::vector<float> other = normals(1, kTokens * kColumns);
  const std::vector<float> gain = normals(2, kColumns);
  const std::vector<float> before = normals(6, kTokens * kColumns);
  std::vector<float> x = before;
  const LinearInput input{.x = x.data(),
                          .residual = front.residual ? other.data() : nullptr,
                          .up = front.gate ? other.data() : nullptr,
                          .gate = kernels::GateFunction::relu2,
                          .norm = front.norm ? gain.data() : nullptr,
                          .eps = kEps};
  std::vector<std::vector<float>> y(linears.size(), std::vector<float>(kTokens * kRows));
  std::vector<Projection> projections;
  for (std::size_t i = 0; i < linears.size(); ++i) projections.push_back({linears[i], y[i].data()});
  const PreparedInput prepared = prepare_input(k(), pool, *scratch, input, kTokens, projections);
  project(k(), pool, *scratch, prepared, kOwnEps, projections);
  for (std::size_t t = 0; t < kTokens; ++t) {
    const float* row_of_other = other.data() + t * kColumns;
    std::vector<float> row(before.begin() + t * kColumns, before.begin() + (t + 1) * kColumns);
    if (front.residual) k().add(row_of_other, kColumns, row.data());
    if (front.gate) {
      k().gated_activation(row.data(), row_of_other, kColumns, kernels::GateFunction::relu2, row.data());
    }
    EXPECT_TRUE(std::equal(row.begin(), row.end(), x.begin() + t * kColumns)) << "x keeps residual and gate";
    if (front.norm) k().rms_norm(row.data(), gain.data(), kColumns, kEps, row.data());
    for (std::size_t i = 0; i < linears.size(); ++i) {
      const std::vector<float> expected = product(*linears[i], row);
      EXPECT_TRUE(std::equal(expected.begin(), expected.end(), y[i].begin() + t * kRows))
          << "linear " << i << ", token " << t;
    }
  }
}

TEST(Linear, GivesTheBitsOfOneOperationAtATime) {
  const Linears l;
  const std::vector<std::vector<const Linear*>> sets = {
      {&l.ternary},
      {&l.dense},
      {&l.ternary, &l.dense, &l.ternary},
      {&l.normed_ternary, &l.normed_dense},
      {&l.rotated},
      {&l.rotated, &l.dense, &l.rotated},
      {&l.dense, &l.rotated},
      {&l.normed_rotated, &l.normed_dense, &l.normed_ternary}};
  for (const Front& front : {Front{false, false, false}, Front{false, false, true}, Front{true, false, true},
                             Front{false, true, false}, Front{false, true, true}}) {
    for (std::size_t set = 0; set < sets.size(); ++set) {
      SCOPED_TRACE(::testing::Message() << "residual " << front.residual << ", gate " << front.gate
                                        << ", norm " << front.norm << ", set " << set);
      expect_step_by_step(front, sets[set]);
    }
  }
}

}  // namespace
}  // namespace sterna::runtime
