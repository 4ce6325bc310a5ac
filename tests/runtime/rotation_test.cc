// Models whose matrices want their input rotated: what they compute, their files, and what is refused.
#include "runtime/rotation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>

#include "convert/inspect.h"
#include "convert/save.h"
#include "kernels/ternary_matmul/pack.h"
#include "runtime/storage.h"
#include "runtime/synthetic.h"
#include "tests/support/engine.h"
#include "tests/support/small_config.h"

namespace sterna::runtime {
namespace {

using ::testing::HasSubstr;
using testing::small_config;
using testing::TempDir;
using testing::test_pool;

Model::Parts rotated_parts(const ModelConfig& config = small_config()) {
  auto parts = synthetic_parts(config, test_pool(), true);
  EXPECT_TRUE(parts) << (parts ? "" : parts.error().message);
  return *std::move(parts);
}

std::string saved(const TempDir& folder, const Model::Parts& parts) {
  const auto size = convert::save_model(parts, folder.file("m.gguf"), nullptr, [] { return false; });
  EXPECT_TRUE(size) << (size ? "" : size.error().message);
  return folder.file("m.gguf");
}

std::vector<float> logits_of(const std::shared_ptr<const Model>& model, std::span<const TokenId> ids) {
  const auto session = testing::new_session(model);
  EXPECT_TRUE(session->append(ids));
  return {session->logits().begin(), session->logits().end()};
}

// One token through a model of one layer with sub-norms and SiLU, in double: no rotary embedding at position
// 0, and the attention to a single token is its value. Activations become int8 as the model's do; `margin` is
// how far from a tie all of them stayed.
class OneToken {
 public:
  explicit OneToken(const Model& model) : model_(model) {}

  [[nodiscard]] double margin() const { return margin_; }

  std::vector<double> final_row(TokenId token) {
    const ModelConfig& c = model_.config();
    const LayerWeights& w = model_.weights().layers[0];
    std::vector<double> x = embedding(static_cast<std::size_t>(token));
    const std::vector<double> value = product(w.v, normed(x, w.attention_norm));
    std::vector<double> attention;
    for (std::size_t head = 0; head < c.heads; ++head)
      attention.insert(attention.end(), value.begin(), value.end());  // one key/value head
    add(x, product(w.o, normed(attention, w.attention_sub_norm)));
    const std::vector<double> h = normed(x, w.ffn_norm);
    std::vector<double> gated = product(w.gate, h);
    const std::vector<double> up = product(w.up, h);
    for (std::size_t i = 0; i < gated.size(); ++i) gated[i] *= up[i] / (1 + std::exp(-gated[i]));
    add(x, product(w.down, normed(gated, w.ffn_sub_norm)));
    return normed(x, model_.weights().output_norm);
  }

  [[nodiscard]] std::vector<double> embedding(std::size_t row) const {
    const kernels::SplitView& e = model_.weights().embedding.split();
    std::vector<std::int8_t> values(e.columns);
    testing::test_kernels().split_row(e.row(row), e.columns, values.data());
    std::vector<double> x(values.begin(), values.end());
    for (double& v : x) v *= e.row_scales[row];
    return x;
  }

 private:
  static void add(std::vector<double>& x, const std::vector<double>& y) {
    for (std::size_t i = 0; i < x.size(); ++i) x[i] += y[i];
  }

  [[nodiscard]] std::vector<double> normed(std::vector<double> x, const float* gain) const {
    double squares = 0;
    for (const double v : x) squares += v * v;
    const double r = 1 / std::sqrt(squares / static_cast<double>(x.size()) + model_.config().norm_eps);
    for (std::size_t i = 0; i < x.size(); ++i) x[i] *= r * gain[i];
    return x;
  }

  static std::vector<double> turned(const Linear& linear, const std::vector<double>& x) {
    const std::size_t block = linear.rotation_block;
    std::vector<double> y(x.size());
    for (std::size_t i = 0; i < x.size(); ++i) {
      for (std::size_t j = i / block * block; j < i / block * block + block; ++j) {
        const bool minus =
            (std::popcount(i % block & j % block) % 2 != 0) != std::signbit(linear.rotation[j]);
        y[i] += (minus ? -x[j] : x[j]) / std::sqrt(static_cast<double>(block));
      }
    }
    return y;
  }

  std::vector<double> product(const Linear& linear, const std::vector<double>& x) {
    std::vector<double> q = turned(linear, x);
    double largest = 1e-5;
    for (const double v : q) largest = std::max(largest, std::fabs(v));
    for (double& v : q) {
      const double scaled = v * 127 / largest;
      margin_ = std::min(margin_, std::fabs(scaled - std::floor(scaled) - 0.5));
      v = std::nearbyint(scaled);
    }
    const kernels::TernaryView& w = linear.weight.trits;
    std::vector<double> y(w.rows);
    for (std::size_t r = 0; r < w.rows; ++r) {
      for (std::size_t c = 0; c < w.columns; ++c) y[r] += kernels::unpack(w, r, c) * q[c];
      y[r] *= kernels::scale_at(w, 0, 0) * largest / 127;
    }
    return y;
  }

  const Model& model_;
  double margin_ = 1;
};

// A float of this path has gone through at most 500 roundings: some 70 to the input of the gate (norm 12,
// rotation 6, quantisation and product 5, three times), which silu stretches by up to 1 + |g| < 6, and as
// many again of `up`. So as long as no scaled activation, at most 127, is within 127 * 500 * 2^-24 = 0.004 of
// a tie the integers are the same, and a logit is off by less than 1000 * 2^-24 of the sum of its terms'
// magnitudes: 500 of the row, less than 50 of the product.
TEST(Rotation, LogitsAreThoseOfTheFormulaInDouble) {
  ModelConfig config = small_config();
  config.layers = 1;
  const auto model = Model::create(rotated_parts(config), "m");
  ASSERT_TRUE(model) << model.error().message;
  int compared = 0;
  for (TokenId token = 0; token < 200; ++token) {
    OneToken reference(**model);
    const std::vector<double> row = reference.final_row(token);
    if (reference.margin() < 0.004) continue;
    ++compared;
    const std::vector<float> logits = logits_of(*model, {&token, 1});
    for (std::size_t i = 0; i < logits.size(); ++i) {
      const std::vector<double> e = reference.embedding(i);
      double sum = 0;
      double magnitude = 0;
      for (std::size_t c = 0; c < e.size(); ++c) {
        sum += e[c] * row[c];
        magnitude += std::fabs(e[c] * row[c]);
      }
      ASSERT_NEAR(logits[i], sum, 1000 * 0x1p-24 * magnitude) << "token " << token << ", logit " << i;
    }
  }
  EXPECT_GE(compared, 5) << "too few tokens are far from ties";
}

TEST(Rotation, FilesAndRepackedModelsGiveTheSameBits) {
  const TempDir folder;
  const TokenId ids[] = {5, 70, 200, 13};
  const Model::Parts parts = rotated_parts();
  const auto file = load_model_file(saved(folder, parts), {}, test_pool());
  ASSERT_TRUE(file) << file.error().message;
  auto repacked = rotated_parts();
  ASSERT_TRUE(repack(repacked, Storage::small, test_pool()));
  const TempDir other;
  const auto small = load_model_file(saved(other, repacked), {}, test_pool());
  ASSERT_TRUE(small) << small.error().message;
  EXPECT_TRUE(is_stored_as((*small)->weights(), (*small)->config(), Storage::small));
  const auto memory = Model::create(rotated_parts(), "m");
  const auto plain = synthetic_model(small_config(), test_pool());
  ASSERT_TRUE(memory);
  ASSERT_TRUE(plain);
  const std::vector<float> expected = logits_of(*memory, ids);
  EXPECT_EQ(logits_of(*file, ids), expected);
  EXPECT_EQ(logits_of(*small, ids), expected);
  EXPECT_NE(logits_of(*plain, ids), expected) << "the rotation does nothing";
}

TEST(Rotation, MatricesOfOneInputAndRotationShareTheirFactors) {
  const TempDir folder;
  const auto model = load_model_file(saved(folder, rotated_parts()), {}, test_pool());
  ASSERT_TRUE(model) << model.error().message;
  const LayerWeights& layer = (*model)->weights().layers[1];
  EXPECT_EQ(layer.q.rotation_block, 16U);
  EXPECT_EQ(layer.q.rotation, layer.k.rotation);
  EXPECT_EQ(layer.q.rotation, (*model)->weights().layers[0].gate.rotation);
  EXPECT_NE(layer.q.rotation, layer.down.rotation);  // 48 and 80 columns
}

TEST(Rotation, DifferentRotationsOfOneInputAreRefused) {
  const auto refused = [](const std::function<void(LayerWeights&)>& change, const char* first,
                          const char* second) {
    const TempDir folder;
    Model::Parts parts = rotated_parts();
    change(parts.weights.layers[1]);
    const auto model = load_model_file(saved(folder, parts), {}, test_pool());
    ASSERT_FALSE(model);
    for (const char* word : {first, second, "m.gguf", "same input"})
      EXPECT_THAT(model.error().message, HasSubstr(word));
    EXPECT_EQ(model.error().message.find('\n'), std::string::npos);
  };
  refused([](LayerWeights& l) { l.k.rotation_seed = 2; }, "blk.1.attn_q.weight", "blk.1.attn_k.weight");
  refused([](LayerWeights& l) { l.v.rotation_block = 8; }, "blk.1.attn_k.weight", "blk.1.attn_v.weight");
  refused([](LayerWeights& l) { l.up.rotation_block = 0; }, "blk.1.ffn_gate.weight", "blk.1.ffn_up.weight");
}

// Other inputs, or linears with an input each, are free.
TEST(Rotation, RotationsOfDifferentInputsMayDiffer) {
  for (const bool linear_norms : {false, true}) {
    ModelConfig config = small_config();
    config.linear_norms = linear_norms;
    config.sub_norms = !linear_norms;
    const TempDir folder;
    Model::Parts parts = rotated_parts(config);
    for (LayerWeights& layer : parts.weights.layers) {
      layer.o.rotation_block = 0;
      layer.down.rotation_seed = 9;
      if (linear_norms) layer.k.rotation_seed = layer.up.rotation_seed = 2;
    }
    const auto model = load_model_file(saved(folder, parts), {}, test_pool());
    ASSERT_TRUE(model) << model.error().message;
    const TokenId ids[] = {5, 70, 200, 13};
    const auto same = Model::create(rotated_parts(config), "m");
    ASSERT_TRUE(same);
    EXPECT_NE(logits_of(*model, ids), logits_of(*same, ids));
  }
}

TEST(Rotation, InspectShowsIt) {
  const TempDir folder;
  const auto inspection = convert::inspect(saved(folder, rotated_parts()), true, test_pool());
  ASSERT_TRUE(inspection) << inspection.error().message;
  for (const convert::InspectedTensor& t : inspection->tensors) {
    EXPECT_EQ(t.rotation_block, t.trits ? 16U : 0U) << t.name;
    EXPECT_EQ(t.rotation_seed, t.trits ? 1U : 0U) << t.name;
    EXPECT_EQ(t.type.find("rotation of 16 (seed 1)") != std::string::npos, t.trits.has_value()) << t.type;
  }
}

}  // namespace
}  // namespace sterna::runtime
