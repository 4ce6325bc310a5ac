// The converter's own graph and its derivatives, against a block in double precision and plain loops
// (graph_reference.h), and against the forward pass of the runtime.
#include <gtest/gtest.h>

#include <functional>
#include <numeric>
#include <string>

#include "convert/graph/backward.h"
#include "convert/graph/block.h"
#include "convert/graph/derivatives.h"
#include "convert/graph/head.h"
#include "kernels/ternary_matmul/pack.h"
#include "tests/convert/graph_reference.h"
#include "tests/support/engine.h"
#include "tests/support/tiny_model.h"

namespace sterna::convert {
namespace {

using runtime::ModelConfig;
using testing::Doubles;
using testing::RandomBlock;
using testing::reference_block;
using testing::test_kernels;

// A graph's float32 values against double: a block is a chain of about 12 products of up to 150 terms, each
// term rounded by 2^-24; if the roundings add up like independent ones that is 12 sqrt(150) 2^-24 = 9e-6 of
// the size of the terms, and a factor of 10 is left for sums whose terms cancel. A wrong term of a formula
// shows at 1e-2 and more.
constexpr double kTolerance = 1e-4;

struct Case {
  std::string name;
  ModelConfig config;
  std::size_t rotation = 0;
  std::size_t tokens = 9;
};

ModelConfig base() {
  ModelConfig c;
  c.hidden = 32;
  c.heads = 4;
  c.kv_heads = 4;
  c.head_dim = 8;
  c.ffn = 48;
  c.vocab = 50;
  c.context = 256;
  return c;
}

std::vector<Case> cases() {
  std::vector<Case> all{{"plain", base()}};
  const auto with = [&](const char* name, const std::function<void(ModelConfig&)>& change) -> Case& {
    Case& c = all.emplace_back(Case{name, base()});
    change(c.config);
    return c;
  };
  with("grouped_heads", [](ModelConfig& c) { c.kv_heads = 2; });
  with("heads_wider_than_hidden", [](ModelConfig& c) { c.head_dim = 12; });
  with("sliding_window", [](ModelConfig& c) { c.sliding_window = 4; });
  with("relu2_and_sub_norms", [](ModelConfig& c) {
    c.gate = runtime::Gate::relu2;
    c.sub_norms = true;
  });
  with("silu_and_sub_norms", [](ModelConfig& c) { c.sub_norms = true; });
  with("head_norms", [](ModelConfig& c) {
    c.qk_norm = true;
    c.kv_heads = 1;
  });
  with("biases", [](ModelConfig& c) { c.qkv_bias = c.o_bias = c.mlp_bias = true; });
  with("rotation", [](ModelConfig&) {}).rotation = 8;
  Case& everything = with("everything", [](ModelConfig& c) {
    c.kv_heads = 2;
    c.sliding_window = 5;
    c.sub_norms = c.qk_norm = c.qkv_bias = c.o_bias = c.mlp_bias = true;
  });
  everything.rotation = 8;
  // More queries than are looked at together, and a window over their border; two groups of columns per row.
  Case& longer = with("longer_than_a_piece", [](ModelConfig& c) {
    c.hidden = 16;
    c.heads = c.kv_heads = 2;
    c.ffn = 144;
    c.sliding_window = 100;
  });
  longer.tokens = BlockGraph::kQueryRows + 9;
  return all;
}

double largest(std::span<const float> values) {
  double most = 0;
  for (const float v : values) most = std::max(most, std::abs(double{v}));
  return most;
}

// All that one derivative needs: a block, its input, and a loss sum(output o direction).
struct Problem {
  Case test;
  BlockWeights w;
  std::vector<float> x, direction;

  explicit Problem(const Case& c) : test(c) {
    RandomBlock random(42);
    w = random.block(c.config, c.rotation);
    x = random.normals(c.tokens * c.config.hidden, 1.0F);
    direction = random.normals(x.size(), 1.0F);
  }
  [[nodiscard]] double loss(const testing::Nudge& nudge = {}) const {
    const Doubles y = reference_block(test.config, w, Doubles(x.begin(), x.end()), nudge);
    return std::inner_product(y.begin(), y.end(), direction.begin(), 0.0);
  }
  // By central differences. Steps of 2^-10 are exact in float beside values near 1; their error is
  // 2^-20 / 6 of the third derivative, and that of the loss, 1e-13 / 2^-9, is far below it.
  double difference(float& parameter) {
    const float before = parameter;
    const float up = before + 0x1p-10F;
    const float down = before - 0x1p-10F;
    parameter = up;
    const double above = loss();
    parameter = down;
    const double below = loss();
    parameter = before;
    return (above - below) / (double{up} - double{down});
  }
};

// About `most` elements of a gradient, evenly spread, against differences.
void expect_gradient(Problem& problem, std::vector<float>& parameter, std::span<const float> gradient,
                     std::size_t most, const std::string& name) {
  ASSERT_EQ(parameter.size(), gradient.size()) << name;
  if (parameter.empty()) return;
  const double scale = largest(gradient);
  EXPECT_GT(scale, 0.0) << name;
  const std::size_t step = std::max<std::size_t>(1, parameter.size() / most) | 1U;  // odd: meets every column
  for (std::size_t i = 0; i < parameter.size(); i += step) {
    EXPECT_NEAR(gradient[i], problem.difference(parameter[i]), kTolerance * scale)
        << problem.test.name << ": " << name << "[" << i << "]";
  }
}

// Memory for every gradient of a block.
struct Gradients {
  struct Linear {
    std::vector<float> weight, log_scales, bias;
    explicit Linear(const DenseLinear& w)
        : weight(w.weight.size()), log_scales(w.rows * ((w.columns + 127) / 128)), bias(w.bias.size()) {}
    LinearGradient spans() { return {weight, log_scales, bias}; }
  };
  std::vector<float> attention_norm, q_norm, k_norm, attention_sub_norm, ffn_norm, ffn_sub_norm;
  Linear q, k, v, o, gate, up, down;

  explicit Gradients(const BlockWeights& w)
      : attention_norm(w.attention_norm.size()),
        q_norm(w.q_norm.size()),
        k_norm(w.k_norm.size()),
        attention_sub_norm(w.attention_sub_norm.size()),
        ffn_norm(w.ffn_norm.size()),
        ffn_sub_norm(w.ffn_sub_norm.size()),
        q(w.q),
        k(w.k),
        v(w.v),
        o(w.o),
        gate(w.gate),
        up(w.up),
        down(w.down) {}
  BlockGradient spans() {
    return {attention_norm, q.spans(),          k.spans(),   v.spans(), q_norm,
            k_norm,         attention_sub_norm, o.spans(),   ffn_norm,  gate.spans(),
            up.spans(),     ffn_sub_norm,       down.spans()};
  }
};

class GraphTest : public ::testing::TestWithParam<Case> {};

TEST_P(GraphTest, ForwardIsTheBlockOfTheDefinition) {
  Problem problem(GetParam());
  const BlockGraph graph(problem.test.config, test_kernels(), problem.test.tokens);
  BlockGraph::Scratch scratch;
  const Doubles expected =
      reference_block(problem.test.config, problem.w, Doubles(problem.x.begin(), problem.x.end()));
  graph.forward(problem.w, problem.x, scratch);
  const double scale = largest(problem.x);
  for (std::size_t i = 0; i < expected.size(); ++i)
    ASSERT_NEAR(problem.x[i], expected[i], kTolerance * scale) << i;
}

TEST_P(GraphTest, GradientsAreThoseOfTheBlockOfTheDefinition) {
  Problem problem(GetParam());
  const BlockGraph graph(problem.test.config, test_kernels(), problem.test.tokens);
  BlockBackward backward(graph);
  Gradients g(problem.w);
  std::vector<float> dx = problem.direction;
  backward.run(problem.w, problem.x, dx, g.spans());

  const std::size_t most = problem.test.tokens > 100 ? 5 : 40;
  BlockWeights& w = problem.w;
  expect_gradient(problem, problem.x, dx, 2 * most, "x");
  expect_gradient(problem, w.attention_norm, g.attention_norm, most, "attention_norm");
  expect_gradient(problem, w.q_norm, g.q_norm, most, "q_norm");
  expect_gradient(problem, w.k_norm, g.k_norm, most, "k_norm");
  expect_gradient(problem, w.attention_sub_norm, g.attention_sub_norm, most, "attention_sub_norm");
  expect_gradient(problem, w.ffn_norm, g.ffn_norm, most, "ffn_norm");
  expect_gradient(problem, w.ffn_sub_norm, g.ffn_sub_norm, most, "ffn_sub_norm");
  const auto linear = [&](DenseLinear& weights, const Gradients::Linear& gradient, const char* name) {
    expect_gradient(problem, weights.weight, gradient.weight, most, name);
    expect_gradient(problem, weights.bias, gradient.bias, most, name);
  };
  linear(w.q, g.q, "q");
  linear(w.k, g.k, "k");
  linear(w.v, g.v, "v");
  linear(w.o, g.o, "o");
  linear(w.gate, g.gate, "gate");
  linear(w.up, g.up, "up");
  linear(w.down, g.down, "down");
}

// dL/d ln s of a group of columns is the sum of W o dL/dW over it.
TEST_P(GraphTest, ScaleGradientsAreSumsOverGroups) {
  Problem problem(GetParam());
  const BlockGraph graph(problem.test.config, test_kernels(), problem.test.tokens);
  BlockBackward backward(graph);
  Gradients g(problem.w);
  std::vector<float> dx = problem.direction;
  backward.run(problem.w, problem.x, dx, g.spans());
  const auto check = [&](const DenseLinear& w, const Gradients::Linear& gradient, const char* name) {
    const std::size_t groups = (w.columns + 127) / 128;
    for (std::size_t r = 0; r < w.rows; ++r) {
      for (std::size_t group = 0; group < groups; ++group) {
        double sum = 0;
        double terms = 0;
        for (std::size_t c = group * 128; c < std::min(w.columns, group * 128 + 128); ++c) {
          const double term =
              double{w.weight[r * w.columns + c]} * double{gradient.weight[r * w.columns + c]};
          sum += term;
          terms += std::abs(term);
        }
        // 128 products and sums in float32 at most, each rounded by 2^-24 of what it gives.
        EXPECT_NEAR(gradient.log_scales[r * groups + group], sum, 128 * 0x1p-24 * terms) << name << " " << r;
      }
    }
  };
  check(problem.w.q, g.q, "q");
  check(problem.w.k, g.k, "k");
  check(problem.w.v, g.v, "v");
  check(problem.w.o, g.o, "o");
  check(problem.w.gate, g.gate, "gate");
  check(problem.w.up, g.up, "up");
  check(problem.w.down, g.down, "down");
}

INSTANTIATE_TEST_SUITE_P(Blocks, GraphTest, ::testing::ValuesIn(cases()),
                         [](const auto& test) { return test.param.name; });

TEST(BackwardTest, AddsToGradientsAndSkipsThoseThatAreNotWanted) {
  Problem problem(cases().back());
  const BlockGraph graph(problem.test.config, test_kernels(), problem.test.tokens);
  BlockBackward backward(graph);
  Gradients once(problem.w);
  Gradients twice(problem.w);
  std::vector<float> dx = problem.direction;
  backward.run(problem.w, problem.x, dx, once.spans());
  const std::vector<float> expected = dx;
  for (int i = 0; i < 2; ++i) {
    dx = problem.direction;
    backward.run(problem.w, problem.x, dx, twice.spans());
  }
  for (std::size_t i = 0; i < once.q.log_scales.size(); ++i)
    EXPECT_EQ(twice.q.log_scales[i], 2 * once.q.log_scales[i]);
  dx = problem.direction;
  backward.run(problem.w, problem.x, dx, {});
  EXPECT_EQ(dx, expected);
}

// Three rows of every linear, by central differences of each token's output.
void expect_outputs(const Case& test) {
  Problem problem(test);
  const BlockGraph graph(problem.test.config, test_kernels(), problem.test.tokens);
  BlockBackward backward(graph);
  const BlockWeights& w = problem.w;
  const std::vector<const DenseLinear*> linears{&w.q, &w.k, &w.v, &w.o, &w.gate, &w.up, &w.down};
  std::vector<std::vector<float>> squares, outputs;
  for (const DenseLinear* l : linears) {
    squares.emplace_back(l->rows);
    outputs.emplace_back(problem.test.tokens * l->rows);
  }
  BlockGradient wanted;
  LinearGradient* const gradients[] = {&wanted.q,    &wanted.k,  &wanted.v,   &wanted.o,
                                       &wanted.gate, &wanted.up, &wanted.down};
  for (std::size_t i = 0; i < linears.size(); ++i) {
    gradients[i]->output_squares = squares[i];
    gradients[i]->outputs = outputs[i];
  }
  std::vector<float> dx = problem.direction;
  backward.run(w, problem.x, dx, wanted);
  for (std::size_t i = 0; i < linears.size(); ++i) {
    for (const std::size_t row : {std::size_t{0}, linears[i]->rows / 2, linears[i]->rows - 1}) {
      double sum = 0;
      for (std::size_t t = 0; t < problem.test.tokens; ++t) {
        constexpr double kStep = 0x1p-10;  // as in Problem::difference
        const double slope =
            (problem.loss({linears[i], t, row, kStep}) - problem.loss({linears[i], t, row, -kStep})) /
            (2 * kStep);
        sum += slope * slope;
        EXPECT_NEAR(outputs[i][t * linears[i]->rows + row], slope, kTolerance * largest(outputs[i]))
            << test.name << " " << i << " " << t << " " << row;
      }
      // Twice that of the derivatives, which are squared here.
      EXPECT_NEAR(squares[i][row], sum, 2 * kTolerance * largest(squares[i]))
          << test.name << " " << i << " " << row;
    }
  }
}

TEST(OutputsTest, DerivativesAndTheirSquaresAreThoseOfEachToken) {
  for (const Case& test : cases()) {
    if (test.tokens <= 100) expect_outputs(test);  // longer ones take as many differences
  }
}

TEST(UnrotateTest, IsTheInverseOfTheRotation) {
  const auto rotation = make_rotation(96, 32, 3);
  const std::vector<float> x = RandomBlock(1).normals(std::size_t{4} * 96, 1.0F);
  std::vector<float> y = x;
  rotate(test_kernels(), *rotation, 4, y.data());
  EXPECT_NE(x, y);
  unrotate(test_kernels(), *rotation, 4, y.data());
  // Twice five stages of additions and two products, each rounded by 2^-24 of values below 6.
  for (std::size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(y[i], x[i], 12 * 6 * 0x1p-24);
}

// silu is taken from the kernel and its sigmoid recovered, from a series for small arguments.
TEST(GateTest, DerivativeHoldsAtEverySize) {
  std::vector<float> gate{0.0F,    1e-30F, -1e-6F, 1e-3F, 0.00999F, -0.00999F, 0.01F,
                          -0.011F, 1.0F,   -1.0F,  20.0F, -20.0F,   -80.0F,    -200.0F};
  const std::vector<float> g = gate;
  std::vector<float> up(gate.size(), 3.0F), silu(gate.size());
  const std::vector<float> dm(gate.size(), 2.0F);
  gate_backward(test_kernels(), runtime::Gate::silu, dm.data(), gate.size(), gate.data(), up.data(),
                silu.data());
  for (std::size_t i = 0; i < g.size(); ++i) {
    const double s = 1 / (1 + std::exp(-double{g[i]}));
    // Derivatives below 1.1 and silu below 20, eight roundings.
    EXPECT_NEAR(gate[i], 6 * (s + double{g[i]} * s * (1 - s)), 6 * 8 * 1.1 * 0x1p-24) << g[i];
    EXPECT_NEAR(up[i], 2 * double{g[i]} * s, 2 * 8 * std::max(1.0, std::abs(double{g[i]}) * s) * 0x1p-24)
        << g[i];
  }
}

// Both losses.
class HeadTest : public ::testing::TestWithParam<bool> {};

TEST_P(HeadTest, LossAndGradientsAreThoseOfTheDefinition) {
  constexpr std::size_t kHidden = 16;
  constexpr std::size_t kTokens = 11;
  constexpr std::size_t kVocab = 70;
  RandomBlock random(5);
  std::vector<float> norm = random.gain(kHidden);
  const std::vector<float> rows = random.normals(kVocab * kHidden, 0.5F);
  std::vector<float> x = random.normals(kTokens * kHidden, 1.0F);
  const bool taught = GetParam();
  const std::vector<float> teacher = taught ? random.normals(x.size(), 1.0F) : std::vector<float>{};
  const std::vector<float> teacher_rows = random.normals(rows.size(), 0.5F);
  std::vector<std::int32_t> ids(kTokens);
  for (std::size_t t = 0; t < kTokens; ++t) ids[t] = static_cast<std::int32_t>(t * 13 % kVocab);

  const HeadWeights head{norm, rows};
  const HeadTarget target{teacher, teacher_rows, ids};
  HeadLoss loss(test_kernels(), 1e-5F);
  const auto reference = [&] {
    return testing::reference_loss(norm, 1e-5, rows, Doubles(x.begin(), x.end()),
                                   Doubles(teacher.begin(), teacher.end()), teacher_rows, ids);
  };
  const double expected = reference();
  EXPECT_NEAR(loss.loss(head, target, x), expected, kTolerance * expected);
  std::vector<float> dx = x;
  std::vector<float> d_norm(kHidden);
  EXPECT_EQ(loss.backward(head, target, dx, d_norm), loss.loss(head, target, x));

  const auto check = [&](std::vector<float>& parameter, std::span<const float> gradient, const char* name) {
    for (std::size_t i = 0; i < parameter.size(); ++i) {
      const float before = parameter[i];
      const float up = before + 0x1p-10F;
      const float down = before - 0x1p-10F;
      parameter[i] = up;
      const double above = reference();
      parameter[i] = down;
      const double slope = (above - reference()) / (double{up} - double{down});
      parameter[i] = before;
      EXPECT_NEAR(gradient[i], slope, kTolerance * largest(gradient)) << name << i;
    }
  };
  check(x, dx, "x");
  check(norm, d_norm, "norm");
}

INSTANTIATE_TEST_SUITE_P(Losses, HeadTest, ::testing::Bool(), [](const auto& test) {
  return test.param ? "divergence_from_a_teacher" : "next_token";
});

// The vocabulary decides how many tokens are looked at together; the loss is that of one after the other.
TEST(HeadPiecesTest, PiecesOfAWindowAddUp) {
  constexpr std::size_t kHidden = 4;
  constexpr std::size_t kTokens = 20;
  constexpr std::size_t kVocab = 1100000;  // at most 16 tokens at a time
  RandomBlock random(6);
  const std::vector<float> norm = random.gain(kHidden);
  const std::vector<float> rows = random.normals(kVocab * kHidden, 1.0F);
  const std::vector<float> x = random.normals(kTokens * kHidden, 1.0F);
  const std::vector<float> teacher = random.normals(x.size(), 1.0F);
  const HeadWeights head{norm, rows};
  HeadLoss loss(test_kernels(), 1e-5F);
  double sum = 0;
  std::vector<float> d_norm(kHidden), d_single(kHidden), singles;
  for (std::size_t t = 0; t < kTokens; ++t) {
    const auto stream = std::span(x).subspan(t * kHidden, kHidden);
    std::vector<float> row(stream.begin(), stream.end());
    sum += loss.backward(head, {std::span(teacher).subspan(t * kHidden, kHidden), rows, {}}, row, d_single);
    singles.insert(singles.end(), row.begin(), row.end());
  }
  std::vector<float> dx = x;
  EXPECT_NEAR(loss.backward(head, {teacher, rows, {}}, dx, d_norm), sum / kTokens, kTolerance);
  for (std::size_t i = 0; i < x.size(); ++i)
    EXPECT_NEAR(dx[i], singles[i] / kTokens, kTolerance * largest(dx)) << i;
  for (std::size_t i = 0; i < kHidden; ++i)
    EXPECT_NEAR(d_norm[i], d_single[i] / kTokens, kTolerance * largest(d_norm)) << i;
}

std::vector<float> copied(const float* values, std::size_t n) {
  return values == nullptr ? std::vector<float>{} : std::vector<float>(values, values + n);
}

DenseLinear copied(const runtime::Linear& linear) {
  const runtime::Matrix& matrix = linear.weight;
  DenseLinear w{matrix.rows(), matrix.columns(), {}, copied(linear.bias, matrix.rows())};
  w.weight.resize(w.rows * w.columns);
  std::vector<std::int8_t> levels(w.columns);
  for (std::size_t r = 0; r < w.rows; ++r) {
    float* row = w.weight.data() + r * w.columns;
    if (!matrix.ternary) {
      test_kernels().dense_row(matrix.dense, r, row);
      continue;
    }
    kernels::unpack_row(matrix.trits, r, levels.data());
    for (std::size_t c = 0; c < w.columns; ++c)
      row[c] = kernels::scale_at(matrix.trits, r, c) * static_cast<float>(levels[c]);
  }
  return w;
}

BlockWeights copied(const runtime::LayerWeights& layer, const ModelConfig& m) {
  BlockWeights w;
  w.attention_norm = copied(layer.attention_norm, m.hidden);
  w.q = copied(layer.q);
  w.k = copied(layer.k);
  w.v = copied(layer.v);
  w.q_norm = copied(layer.q_norm, m.head_dim);
  w.k_norm = copied(layer.k_norm, m.head_dim);
  w.attention_sub_norm = copied(layer.attention_sub_norm, m.q_width());
  w.o = copied(layer.o);
  w.ffn_norm = copied(layer.ffn_norm, m.hidden);
  w.gate = copied(layer.gate);
  w.up = copied(layer.up);
  w.ffn_sub_norm = copied(layer.ffn_sub_norm, m.ffn);
  w.down = copied(layer.down);
  return w;
}

// Hidden states after the final norm by the graph, the embedding, and the runtime's logits.
struct BothWays {
  std::vector<float> states, embedding, logits;
};

BothWays both_ways(const std::shared_ptr<const runtime::Model>& model, std::span<const std::int32_t> ids) {
  const ModelConfig& m = model->config();
  const runtime::Weights& weights = model->weights();
  BothWays result;
  result.embedding.resize(std::size_t{m.vocab} * m.hidden);
  std::vector<std::byte> buffer(runtime::DenseRows::buffer_bytes(m.hidden));
  for (std::size_t i = 0; i < m.vocab; ++i) {
    const auto view = weights.embedding.rows(test_kernels(), i, i + 1, buffer);
    if (!view) ADD_FAILURE() << view.error().message;
    test_kernels().dense_row(*view, 0, result.embedding.data() + i * m.hidden);
  }
  std::vector<float>& x = result.states;
  for (const std::int32_t id : ids) {
    const auto row = std::span(result.embedding).subspan(static_cast<std::size_t>(id) * m.hidden, m.hidden);
    x.insert(x.end(), row.begin(), row.end());
  }
  const BlockGraph graph(m, test_kernels(), ids.size());
  BlockGraph::Scratch scratch;
  for (const runtime::LayerWeights& layer : weights.layers) graph.forward(copied(layer, m), x, scratch);
  graph.norm(x.data(), copied(weights.output_norm, m.hidden), ids.size(), x.data());
  const auto session = testing::new_session(model);
  const auto sink = [&](std::size_t, std::span<const float> logits) {
    result.logits.insert(result.logits.end(), logits.begin(), logits.end());
  };
  EXPECT_TRUE(session->append(ids, sink));
  return result;
}

// A float model gives the same logits in the runtime, whose attention has a cache and an order of its own.
TEST(GraphRuntimeTest, FloatModelHasTheLogitsOfTheRuntime) {
  const testing::TempDir directory;
  testing::TinyModel(3).write(directory);
  const auto model = load_hf_model(directory.path(), {}, testing::test_pool());
  ASSERT_TRUE(model) << model.error().message;
  const std::vector<std::int32_t> ids{256, 72, 101, 108, 108, 111, 32, 119, 111, 114, 108, 100};
  const BothWays both = both_ways(*model, ids);
  const std::size_t hidden = (*model)->config().hidden;
  const std::size_t vocab = (*model)->config().vocab;
  ASSERT_EQ(both.logits.size(), ids.size() * vocab);
  for (std::size_t t = 0; t < ids.size(); ++t) {
    for (std::size_t i = 0; i < vocab; ++i) {
      double logit = 0;
      for (std::size_t c = 0; c < hidden; ++c)
        logit += double{both.embedding[i * hidden + c]} * double{both.states[t * hidden + c]};
      // Two float32 chains, each within kTolerance of the exact result (see there).
      ASSERT_NEAR(both.logits[t * vocab + i], logit, 2 * kTolerance * largest(both.logits)) << t << " " << i;
    }
  }
}

// A trained ternary model has int8 activations in the runtime: off by about 1 % of their size (the step is a
// 127th of the largest, four times the typical, over sqrt(12)). Each of the 24 inputs reaches only its own
// part of the residual stream, so the logits, which vary by about 3, are off by about 1 % too: 0.03, and the
// divergence is half its square, 5e-4. Four times that is allowed; without the attention's sub-norm
// it is 0.4.
TEST(GraphRuntimeTest, TernaryModelIsNearTheRuntime) {
  const auto model = load_hf_model(STERNA_SOURCE_DIR "/models/demo", {}, testing::test_pool());
  ASSERT_TRUE(model) << model.error().message;
  const auto ids =
      (*model)->tokenizer().encode("Once upon a time there was a little girl who had a red ball.");
  ASSERT_TRUE(ids);
  const BothWays both = both_ways(*model, *ids);
  const std::size_t hidden = (*model)->config().hidden;
  const std::size_t vocab = (*model)->config().vocab;
  double divergence = 0;
  for (std::size_t t = 0; t < ids->size(); ++t) {
    const float* p = both.logits.data() + t * vocab;
    std::vector<float> q(vocab);
    for (std::size_t i = 0; i < vocab; ++i)
      q[i] = lanes_dot(both.embedding.data() + i * hidden, both.states.data() + t * hidden, hidden);
    const auto p_total = test_kernels().softmax_total(p, vocab);
    const auto q_total = test_kernels().softmax_total(q.data(), vocab);
    divergence +=
        test_kernels().divergence_sum(p, p_total.maximum, q.data(), q_total.maximum, vocab) / p_total.total -
        std::log(p_total.total) + std::log(q_total.total);
  }
  EXPECT_LT(divergence / static_cast<double>(ids->size()), 2e-3);
}

}  // namespace
}  // namespace sterna::convert
