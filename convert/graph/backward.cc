#include "convert/graph/backward.h"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "convert/graph/derivatives.h"
#include "kernels/views.h"
#include "runtime/blas.h"

namespace sterna::convert {
namespace {

namespace blas = runtime::blas;

float* room(std::vector<float>& buffer, std::size_t n) {
  if (buffer.size() < n) buffer.resize(n);
  return buffer.data();
}

// sums[r, g] += sum over the columns c of group g of w[r, c] dw[r, c]
void add_group_sums(const DenseLinear& w, const float* dw, std::span<float> sums) {
  const std::size_t group = kernels::kGroupColumns;
  float* sum = sums.data();
  for (std::size_t r = 0; r < w.rows; ++r) {
    for (std::size_t c = 0; c < w.columns; c += group) {
      const std::size_t at = r * w.columns + c;
      *sum++ += lanes_dot(w.weight.data() + at, dw + at, std::min(group, w.columns - c));
    }
  }
  assert(sum == sums.data() + sums.size());
}

kernels::GateFunction gate_function(runtime::Gate gate) {
  return gate == runtime::Gate::relu2 ? kernels::GateFunction::relu2 : kernels::GateFunction::silu;
}

}  // namespace

void BlockBackward::linear(const DenseLinear& w, const float* x, const float* dy,
                           const LinearGradient& gradient) {
  const blas::Operand dy_transposed{dy, w.rows, blas::Form::transposed};
  if (!gradient.bias.empty()) add_column_sums(dy, tokens_, gradient.bias);
  if (!gradient.outputs.empty()) std::copy_n(dy, tokens_ * w.rows, gradient.outputs.begin());
  if (!gradient.output_squares.empty()) add_column_squares(dy, tokens_, gradient.output_squares);
  if (!gradient.weight.empty()) {
    blas::multiply(w.rows, w.columns, tokens_, 1.0F, dy_transposed, {x, w.columns}, 1.0F,
                   gradient.weight.data(), w.columns);
  }
  if (!gradient.log_scales.empty()) {
    float* dw = room(matrix_, w.rows * w.columns);
    blas::multiply(w.rows, w.columns, tokens_, 1.0F, dy_transposed, {x, w.columns}, 0.0F, dw, w.columns);
    add_group_sums(w, dw, gradient.log_scales);
  }
}

void BlockBackward::through(const DenseLinear& w, const float* dy, float* dx, bool add) const {
  blas::multiply(tokens_, w.columns, w.rows, 1.0F, {dy, w.rows}, {w.weight.data(), w.columns},
                 add ? 1.0F : 0.0F, dx, w.columns);
}

// The forward pass of block.cc, with everything kept that a derivative needs.
void BlockBackward::recompute(const BlockWeights& w, std::span<const float> x) {
  const runtime::ModelConfig& m = graph_.config();
  const auto input = std::span<const float>(room(qkv_input_, tokens_ * m.hidden), tokens_ * m.hidden);
  graph_.qkv_input(w, x, qkv_input_.data());
  float* q = room(q_, tokens_ * m.q_width());
  float* k = room(k_, tokens_ * m.kv_width());
  float* v = room(v_, tokens_ * m.kv_width());
  BlockGraph::apply(w.q, input, q, false);
  BlockGraph::apply(w.k, input, k, false);
  BlockGraph::apply(w.v, input, v, false);
  if (!w.q_norm.empty()) q_before_ = q_;
  if (!w.k_norm.empty()) k_before_ = k_;
  graph_.position_heads(w, tokens_, q, k);

  const std::size_t attended = tokens_ * m.q_width();
  float* a = room(attended_, attended);
  graph_.attend(q, k, v, tokens_, room(probabilities_, BlockGraph::kQueryRows * tokens_), a);
  float* b = room(o_input_, attended);
  if (w.attention_sub_norm.empty()) {
    std::copy_n(a, attended, b);
  } else {
    graph_.norm(a, w.attention_sub_norm, tokens_, b);
  }
  if (const Rotation* r = w.rotation(Family::o)) rotate(graph_.kernels(), *r, tokens_, b);

  middle_.assign(x.begin(), x.end());
  BlockGraph::apply(w.o, {b, attended}, middle_.data(), true);
  const auto ffn_input = std::span<const float>(room(gate_up_input_, tokens_ * m.hidden), tokens_ * m.hidden);
  graph_.gate_up_input(w, middle_, gate_up_input_.data());
  BlockGraph::apply(w.gate, ffn_input, room(gate_, tokens_ * m.ffn), false);
  BlockGraph::apply(w.up, ffn_input, room(up_, tokens_ * m.ffn), false);
}

void BlockBackward::ffn(const BlockWeights& w, std::span<float> dx, const BlockGradient& gradient) {
  const runtime::ModelConfig& m = graph_.config();
  const std::size_t n = tokens_ * m.ffn;
  float* inner = room(down_input_, n);
  const auto activate = [&] {
    graph_.kernels().gated_activation(gate_.data(), up_.data(), n, gate_function(m.gate), inner);
  };
  activate();
  if (!w.ffn_sub_norm.empty()) graph_.norm(inner, w.ffn_sub_norm, tokens_, inner);
  if (const Rotation* r = w.rotation(Family::down)) rotate(graph_.kernels(), *r, tokens_, inner);
  linear(w.down, inner, dx.data(), gradient.down);

  float* d_inner = room(d_ffn_, n);
  through(w.down, dx.data(), d_inner, false);
  if (const Rotation* r = w.rotation(Family::down)) unrotate(graph_.kernels(), *r, tokens_, d_inner);
  if (!w.ffn_sub_norm.empty()) {
    activate();
    norm_backward(inner, w.ffn_sub_norm, m.norm_eps, tokens_, d_inner, d_inner, false, gradient.ffn_sub_norm);
  }
  gate_backward(graph_.kernels(), m.gate, d_inner, n, gate_.data(), up_.data(), inner);

  linear(w.gate, gate_up_input_.data(), gate_.data(), gradient.gate);
  linear(w.up, gate_up_input_.data(), up_.data(), gradient.up);
  float* d_input = room(d_hidden_, tokens_ * m.hidden);
  through(w.gate, gate_.data(), d_input, false);
  through(w.up, up_.data(), d_input, true);
  if (const Rotation* r = w.rotation(Family::gate_up)) unrotate(graph_.kernels(), *r, tokens_, d_input);
  norm_backward(middle_.data(), w.ffn_norm, m.norm_eps, tokens_, d_input, dx.data(), true, gradient.ffn_norm);
}

void BlockBackward::output(const BlockWeights& w, std::span<const float> dx, const BlockGradient& gradient) {
  const runtime::ModelConfig& m = graph_.config();
  linear(w.o, o_input_.data(), dx.data(), gradient.o);
  float* d = room(d_attended_, tokens_ * m.q_width());
  through(w.o, dx.data(), d, false);
  if (const Rotation* r = w.rotation(Family::o)) unrotate(graph_.kernels(), *r, tokens_, d);
  if (w.attention_sub_norm.empty()) return;
  norm_backward(attended_.data(), w.attention_sub_norm, m.norm_eps, tokens_, d, d, false,
                gradient.attention_sub_norm);
}

void BlockBackward::attention() {
  const runtime::ModelConfig& m = graph_.config();
  const std::size_t d = m.head_dim;
  const std::size_t q_width = m.q_width();
  const std::size_t kv_width = m.kv_width();
  const float scale = 1.0F / std::sqrt(static_cast<float>(d));
  room(dq_, tokens_ * q_width);
  dk_.assign(tokens_ * kv_width, 0.0F);
  dv_.assign(tokens_ * kv_width, 0.0F);
  float* p = probabilities_.data();
  float* dp = room(d_probabilities_, BlockGraph::kQueryRows * tokens_);
  for (std::size_t head = 0; head < m.heads; ++head) {
    const std::size_t kv_at = head / (m.heads / m.kv_heads) * d;
    for (std::size_t begin = 0; begin < tokens_; begin += BlockGraph::kQueryRows) {
      const std::size_t end = std::min(tokens_, begin + BlockGraph::kQueryRows);
      const std::size_t rows = end - begin;
      const std::size_t at = begin * q_width + head * d;
      const float* da = d_attended_.data() + at;
      graph_.probabilities(q_.data(), k_.data(), head, begin, end, tokens_, p);
      blas::multiply(rows, end, d, 1.0F, {da, q_width}, {v_.data() + kv_at, kv_width, blas::Form::transposed},
                     0.0F, dp, tokens_);
      blas::multiply(end, d, rows, 1.0F, {p, tokens_, blas::Form::transposed}, {da, q_width}, 1.0F,
                     dv_.data() + kv_at, kv_width);
      for (std::size_t t = 0; t < rows; ++t) {
        const float along = lanes_dot(da + t * q_width, attended_.data() + at + t * q_width, d);
        const float* p_row = p + t * tokens_;
        float* row = dp + t * tokens_;
        for (std::size_t i = 0; i < end; ++i) row[i] = scale * p_row[i] * (row[i] - along);
      }
      blas::multiply(rows, d, end, 1.0F, {dp, tokens_}, {k_.data() + kv_at, kv_width}, 0.0F, dq_.data() + at,
                     q_width);
      blas::multiply(end, d, rows, 1.0F, {dp, tokens_, blas::Form::transposed}, {q_.data() + at, q_width},
                     1.0F, dk_.data() + kv_at, kv_width);
    }
  }
}

void BlockBackward::input(const BlockWeights& w, std::span<const float> x, std::span<float> dx,
                          const BlockGradient& gradient) {
  const runtime::ModelConfig& m = graph_.config();
  positions_backward(graph_, q_before_.data(), w.q_norm, m.heads, tokens_, dq_.data(), gradient.q_norm);
  positions_backward(graph_, k_before_.data(), w.k_norm, m.kv_heads, tokens_, dk_.data(), gradient.k_norm);
  linear(w.q, qkv_input_.data(), dq_.data(), gradient.q);
  linear(w.k, qkv_input_.data(), dk_.data(), gradient.k);
  linear(w.v, qkv_input_.data(), dv_.data(), gradient.v);
  float* d = room(d_hidden_, tokens_ * m.hidden);
  through(w.q, dq_.data(), d, false);
  through(w.k, dk_.data(), d, true);
  through(w.v, dv_.data(), d, true);
  if (const Rotation* r = w.rotation(Family::qkv)) unrotate(graph_.kernels(), *r, tokens_, d);
  norm_backward(x.data(), w.attention_norm, m.norm_eps, tokens_, d, dx.data(), true, gradient.attention_norm);
}

void BlockBackward::run(const BlockWeights& w, std::span<const float> x, std::span<float> dx,
                        const BlockGradient& gradient) {
  assert(x.size() == dx.size());
  tokens_ = x.size() / graph_.config().hidden;
  recompute(w, x);
  ffn(w, dx, gradient);
  output(w, dx, gradient);
  attention();
  input(w, x, dx, gradient);
}

}  // namespace sterna::convert
