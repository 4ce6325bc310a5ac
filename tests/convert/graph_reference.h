// A transformer block and the loss behind it in double precision and plain loops, written from the
// architecture's definition: the oracle for convert/graph, and what its derivatives are differenced from.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "convert/graph/block.h"
#include "runtime/config.h"
#include "runtime/rotary.h"

namespace sterna::testing {

using Doubles = std::vector<double>;

inline Doubles reference_norm(const Doubles& x, const std::vector<float>& gain, double eps) {
  const std::size_t n = gain.size();
  Doubles y(x.size());
  for (std::size_t row = 0; row < x.size(); row += n) {
    double squares = 0;
    for (std::size_t i = 0; i < n; ++i) squares += x[row + i] * x[row + i];
    const double r = 1 / std::sqrt(squares / static_cast<double>(n) + eps);
    for (std::size_t i = 0; i < n; ++i) y[row + i] = double{gain[i]} * x[row + i] * r;
  }
  return y;
}

inline Doubles reference_linear(const convert::DenseLinear& w, const Doubles& x) {
  const std::size_t tokens = x.size() / w.columns;
  Doubles y(tokens * w.rows);
  for (std::size_t t = 0; t < tokens; ++t) {
    for (std::size_t r = 0; r < w.rows; ++r) {
      double sum = w.bias.empty() ? 0.0 : double{w.bias[r]};
      for (std::size_t c = 0; c < w.columns; ++c)
        sum += double{w.weight[r * w.columns + c]} * x[t * w.columns + c];
      y[t * w.rows + r] = sum;
    }
  }
  return y;
}

// x' = H (s o x), block by block, from the matrix itself.
inline Doubles reference_rotation(const convert::Rotation* rotation, std::size_t columns, const Doubles& x) {
  if (rotation == nullptr) return x;
  const std::size_t n = rotation->block;
  Doubles y(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::size_t first = i / n * n;
    for (std::size_t j = 0; j < n; ++j) {
      const bool minus = std::popcount((i - first) & j) % 2 != 0;
      const double s = std::copysign(1.0, double{rotation->factors[(first + j) % columns]});
      y[i] += (minus ? -s : s) * x[first + j] / std::sqrt(static_cast<double>(n));
    }
  }
  return y;
}

// Head norm, then rotate-half positions.
inline void reference_positions(const runtime::ModelConfig& m, const std::vector<float>& gain, Doubles& x,
                                std::size_t heads) {
  if (!gain.empty()) x = reference_norm(x, gain, double{m.norm_eps});
  const std::size_t half = m.head_dim / 2;
  std::vector<float> frequencies(half), cos(half), sin(half);
  runtime::fill_rotary_frequencies(m, frequencies);
  for (std::size_t at = 0; at < x.size(); at += m.head_dim) {
    runtime::fill_rotary_row(frequencies, at / (heads * m.head_dim), cos.data(), sin.data());
    for (std::size_t i = 0; i < half; ++i) {
      const double a = x[at + i];
      const double b = x[at + half + i];
      x[at + i] = a * double{cos[i]} - b * double{sin[i]};
      x[at + half + i] = b * double{cos[i]} + a * double{sin[i]};
    }
  }
}

inline Doubles reference_attention(const runtime::ModelConfig& m, const Doubles& q, const Doubles& k,
                                   const Doubles& v) {
  const std::size_t d = m.head_dim;
  const std::size_t tokens = q.size() / m.q_width();
  Doubles out(q.size());
  for (std::size_t t = 0; t < tokens; ++t) {
    const std::size_t first =
        m.sliding_window != 0 && t + 1 > m.sliding_window ? t + 1 - m.sliding_window : 0;
    for (std::size_t h = 0; h < m.heads; ++h) {
      const std::size_t kv = h * m.kv_heads / m.heads;
      Doubles weight;
      double total = 0;
      for (std::size_t s = first; s <= t; ++s) {
        double dot = 0;
        for (std::size_t i = 0; i < d; ++i)
          dot += q[t * m.q_width() + h * d + i] * k[s * m.kv_width() + kv * d + i];
        weight.push_back(std::exp(dot / std::sqrt(static_cast<double>(d))));
        total += weight.back();
      }
      for (std::size_t s = first; s <= t; ++s) {
        for (std::size_t i = 0; i < d; ++i)
          out[t * m.q_width() + h * d + i] += weight[s - first] / total * v[s * m.kv_width() + kv * d + i];
      }
    }
  }
  return out;
}

inline void add(Doubles& x, const Doubles& y) {
  for (std::size_t i = 0; i < x.size(); ++i) x[i] += y[i];
}

// One output of a linear for one token, moved by so much.
struct Nudge {
  const convert::DenseLinear* linear = nullptr;
  std::size_t token = 0;
  std::size_t row = 0;
  double by = 0;
};

inline Doubles reference_block(const runtime::ModelConfig& m, const convert::BlockWeights& w, Doubles x,
                               const Nudge& nudge = {}) {
  using convert::Family;
  const auto linear = [&](const convert::DenseLinear& l, const Doubles& input) {
    Doubles y = reference_linear(l, input);
    if (&l == nudge.linear) y[nudge.token * l.rows + nudge.row] += nudge.by;
    return y;
  };
  const double eps = double{m.norm_eps};
  const Doubles input =
      reference_rotation(w.rotation(Family::qkv), m.hidden, reference_norm(x, w.attention_norm, eps));
  Doubles q = linear(w.q, input);
  Doubles k = linear(w.k, input);
  reference_positions(m, w.q_norm, q, m.heads);
  reference_positions(m, w.k_norm, k, m.kv_heads);
  Doubles a = reference_attention(m, q, k, linear(w.v, input));
  if (!w.attention_sub_norm.empty()) a = reference_norm(a, w.attention_sub_norm, eps);
  add(x, linear(w.o, reference_rotation(w.rotation(Family::o), m.q_width(), a)));

  const Doubles ffn =
      reference_rotation(w.rotation(Family::gate_up), m.hidden, reference_norm(x, w.ffn_norm, eps));
  Doubles gate = linear(w.gate, ffn);
  const Doubles up = linear(w.up, ffn);
  for (std::size_t i = 0; i < gate.size(); ++i) {
    const double g = gate[i];
    gate[i] =
        (m.gate == runtime::Gate::relu2 ? std::max(g, 0.0) * std::max(g, 0.0) : g / (1 + std::exp(-g))) *
        up[i];
  }
  if (!w.ffn_sub_norm.empty()) gate = reference_norm(gate, w.ffn_sub_norm, eps);
  add(x, linear(w.down, reference_rotation(w.rotation(Family::down), m.ffn, gate)));
  return x;
}

// Mean KL(teacher || ours) where there is a teacher's hidden state, else the mean of -ln q(next token).
inline double reference_loss(const std::vector<float>& norm, double eps, const std::vector<float>& rows,
                             const Doubles& x, const Doubles& teacher, const std::vector<float>& teacher_rows,
                             const std::vector<std::int32_t>& ids) {
  const std::size_t hidden = norm.size();
  const std::size_t tokens = x.size() / hidden;
  const auto log_softmax = [&](const Doubles& states, const std::vector<float>& head, std::size_t t) {
    Doubles z(head.size() / hidden);
    double total = 0;
    for (std::size_t i = 0; i < z.size(); ++i) {
      for (std::size_t c = 0; c < hidden; ++c) z[i] += double{head[i * hidden + c]} * states[t * hidden + c];
      total += std::exp(z[i]);
    }
    for (double& value : z) value -= std::log(total);
    return z;
  };
  const Doubles normed = reference_norm(x, norm, eps);
  double sum = 0;
  for (std::size_t t = 0; t < tokens; ++t) {
    const Doubles q = log_softmax(normed, rows, t);
    if (teacher.empty()) {
      if (t + 1 < tokens) sum -= q[static_cast<std::size_t>(ids[t + 1])];
      continue;
    }
    const Doubles p = log_softmax(teacher, teacher_rows, t);
    for (std::size_t i = 0; i < p.size(); ++i) sum += std::exp(p[i]) * (p[i] - q[i]);
  }
  return sum / static_cast<double>(teacher.empty() ? tokens - 1 : tokens);
}

// Random weights of a block, of a size that keeps its activations near 1.
class RandomBlock {
 public:
  explicit RandomBlock(unsigned seed) : random_(seed) {}

  float normal(float deviation) { return std::normal_distribution<float>(0.0F, deviation)(random_); }
  std::vector<float> normals(std::size_t n, float deviation) {
    std::vector<float> values(n);
    for (float& v : values) v = normal(deviation);
    return values;
  }
  std::vector<float> gain(std::size_t n) {
    std::vector<float> values = normals(n, 0.3F);
    for (float& v : values) v += 1.0F;
    return values;
  }
  convert::DenseLinear linear(std::size_t rows, std::size_t columns, bool bias) {
    convert::DenseLinear w{rows, columns, {}, {}};
    w.weight = normals(rows * columns, 1.0F / std::sqrt(static_cast<float>(columns)));
    if (bias) w.bias = normals(rows, 0.3F);
    return w;
  }
  // rotation_block: of all inputs but down's, which has twice that; 0: none
  convert::BlockWeights block(const runtime::ModelConfig& m, std::size_t rotation_block) {
    convert::BlockWeights w;
    w.attention_norm = gain(m.hidden);
    w.q = linear(m.q_width(), m.hidden, m.qkv_bias);
    w.k = linear(m.kv_width(), m.hidden, m.qkv_bias);
    w.v = linear(m.kv_width(), m.hidden, m.qkv_bias);
    if (m.qk_norm) w.q_norm = gain(m.head_dim);
    if (m.qk_norm) w.k_norm = gain(m.head_dim);
    if (m.sub_norms) w.attention_sub_norm = gain(m.q_width());
    w.o = linear(m.hidden, m.q_width(), m.o_bias);
    w.ffn_norm = gain(m.hidden);
    w.gate = linear(m.ffn, m.hidden, m.mlp_bias);
    w.up = linear(m.ffn, m.hidden, m.mlp_bias);
    if (m.sub_norms) w.ffn_sub_norm = gain(m.ffn);
    w.down = linear(m.hidden, m.ffn, m.mlp_bias);
    if (rotation_block == 0) return w;
    const auto hidden = convert::make_rotation(m.hidden, rotation_block, 7);
    w.rotations[0] = hidden;
    w.rotations[1] = convert::make_rotation(m.q_width(), rotation_block, 8);
    w.rotations[2] = hidden;
    w.rotations[3] = convert::make_rotation(m.ffn, 2 * rotation_block, 9);
    return w;
  }

 private:
  std::mt19937 random_;
};

}  // namespace sterna::testing
