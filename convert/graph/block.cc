#include "convert/graph/block.h"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "runtime/blas.h"
#include "runtime/rotary.h"

namespace sterna::convert {
namespace {

namespace blas = runtime::blas;

// At least n floats; what was in them stays or is 0.
float* reserve(std::vector<float>& buffer, std::size_t n) {
  if (buffer.size() < n) buffer.resize(n);
  return buffer.data();
}

}  // namespace

BlockGraph::BlockGraph(const runtime::ModelConfig& config, const kernels::Kernels& kernels,
                       std::size_t window)
    : config_(config),
      kernels_(kernels),
      pairs_(config.head_dim / 2),
      cos_(window * pairs_),
      sin_(window * pairs_) {
  std::vector<float> frequencies(pairs_);
  runtime::fill_rotary_frequencies(config, frequencies);
  for (std::size_t t = 0; t < window; ++t) {
    runtime::fill_rotary_row(frequencies, t, cos_.data() + t * pairs_, sin_.data() + t * pairs_);
  }
}

std::size_t BlockGraph::columns(Family family) const {
  switch (family) {
    case Family::o:
      return config_.q_width();
    case Family::down:
      return config_.ffn;
    default:
      return config_.hidden;
  }
}

void BlockGraph::norm(const float* x, std::span<const float> gain, std::size_t tokens, float* y) const {
  const std::size_t n = gain.size();
  for (std::size_t t = 0; t < tokens; ++t)
    kernels_.rms_norm(x + t * n, gain.data(), n, config_.norm_eps, y + t * n);
}

void BlockGraph::apply(const DenseLinear& linear, std::span<const float> x, float* y, bool add) {
  const std::size_t tokens = x.size() / linear.columns;
  assert(x.size() == tokens * linear.columns);
  blas::multiply(tokens, linear.rows, linear.columns, 1.0F, {x.data(), linear.columns},
                 {linear.weight.data(), linear.columns, blas::Form::transposed}, add ? 1.0F : 0.0F, y,
                 linear.rows);
  if (linear.bias.empty()) return;
  for (std::size_t t = 0; t < tokens; ++t) {
    for (std::size_t i = 0; i < linear.rows; ++i) y[t * linear.rows + i] += linear.bias[i];
  }
}

void BlockGraph::qkv_input(const BlockWeights& w, std::span<const float> x, float* out) const {
  const std::size_t tokens = x.size() / config_.hidden;
  norm(x.data(), w.attention_norm, tokens, out);
  if (const Rotation* r = w.rotation(Family::qkv)) rotate(kernels_, *r, tokens, out);
}

void BlockGraph::gate_up_input(const BlockWeights& w, std::span<const float> x, float* out) const {
  const std::size_t tokens = x.size() / config_.hidden;
  norm(x.data(), w.ffn_norm, tokens, out);
  if (const Rotation* r = w.rotation(Family::gate_up)) rotate(kernels_, *r, tokens, out);
}

void BlockGraph::project_heads(const BlockWeights& w, std::span<const float> input, float* q, float* k,
                               float* v) const {
  apply(w.q, input, q, false);
  apply(w.k, input, k, false);
  apply(w.v, input, v, false);
  position_heads(w, input.size() / config_.hidden, q, k);
}

void BlockGraph::position_heads(const BlockWeights& w, std::size_t tokens, float* q, float* k) const {
  const std::size_t d = config_.head_dim;
  const auto finish = [&](float* rows, std::size_t heads, const std::vector<float>& gain, std::size_t t) {
    float* row = rows + t * heads * d;
    if (!gain.empty()) norm(row, gain, heads, row);
    kernels_.rope(row, heads, d, cos(t), sin(t));
  };
  for (std::size_t t = 0; t < tokens; ++t) {
    finish(q, config_.heads, w.q_norm, t);
    finish(k, config_.kv_heads, w.k_norm, t);
  }
}

void BlockGraph::probabilities(const float* q, const float* k, std::size_t head, std::size_t begin,
                               std::size_t end, std::size_t tokens, float* scores) const {
  const std::size_t d = config_.head_dim;
  const std::size_t q_width = config_.q_width();
  const std::size_t kv_width = config_.kv_width();
  const std::size_t kv_head = head / (config_.heads / config_.kv_heads);
  const float scale = 1.0F / std::sqrt(static_cast<float>(d));
  blas::multiply(end - begin, end, d, scale, {q + begin * q_width + head * d, q_width},
                 {k + kv_head * d, kv_width, blas::Form::transposed}, 0.0F, scores, tokens);
  for (std::size_t t = begin; t < end; ++t) {
    float* row = scores + (t - begin) * tokens;
    const std::size_t seen = config_.sliding_window;
    const std::size_t first = seen != 0 && t + 1 > seen ? t + 1 - seen : 0;
    std::fill(row, row + first, 0.0F);
    kernels_.softmax(row + first, t + 1 - first, row + first);
    std::fill(row + t + 1, row + end, 0.0F);
  }
}

void BlockGraph::attend(const float* q, const float* k, const float* v, std::size_t tokens, float* scores,
                        float* out) const {
  const std::size_t d = config_.head_dim;
  const std::size_t q_width = config_.q_width();
  const std::size_t kv_width = config_.kv_width();
  for (std::size_t head = 0; head < config_.heads; ++head) {
    const std::size_t kv_head = head / (config_.heads / config_.kv_heads);
    for (std::size_t begin = 0; begin < tokens; begin += kQueryRows) {
      const std::size_t end = std::min(tokens, begin + kQueryRows);
      probabilities(q, k, head, begin, end, tokens, scores);
      blas::multiply(end - begin, d, end, 1.0F, {scores, tokens}, {v + kv_head * d, kv_width}, 0.0F,
                     out + begin * q_width + head * d, q_width);
    }
  }
}

void BlockGraph::o_input(const BlockWeights& w, std::span<const float> input, Scratch& scratch,
                         float* out) const {
  const std::size_t tokens = input.size() / config_.hidden;
  float* q = reserve(scratch.q, tokens * config_.q_width());
  float* k = reserve(scratch.k, tokens * config_.kv_width());
  float* v = reserve(scratch.v, tokens * config_.kv_width());
  project_heads(w, input, q, k, v);
  attend(q, k, v, tokens, reserve(scratch.scores, kQueryRows * tokens), out);
  if (!w.attention_sub_norm.empty()) norm(out, w.attention_sub_norm, tokens, out);
  if (const Rotation* r = w.rotation(Family::o)) rotate(kernels_, *r, tokens, out);
}

void BlockGraph::down_input(const BlockWeights& w, std::span<const float> input, Scratch& scratch,
                            float* out) const {
  const std::size_t tokens = input.size() / config_.hidden;
  const std::size_t n = tokens * config_.ffn;
  float* up = reserve(scratch.up, n);
  apply(w.gate, input, out, false);
  apply(w.up, input, up, false);
  const auto gate =
      config_.gate == runtime::Gate::relu2 ? kernels::GateFunction::relu2 : kernels::GateFunction::silu;
  kernels_.gated_activation(out, up, n, gate, out);
  if (!w.ffn_sub_norm.empty()) norm(out, w.ffn_sub_norm, tokens, out);
  if (const Rotation* r = w.rotation(Family::down)) rotate(kernels_, *r, tokens, out);
}

void BlockGraph::forward(const BlockWeights& w, std::span<float> x, Scratch& scratch) const {
  const std::size_t tokens = x.size() / config_.hidden;
  const std::size_t widest = std::max({config_.hidden, config_.q_width(), config_.ffn});
  const auto input = std::span(reserve(scratch.input, tokens * config_.hidden), tokens * config_.hidden);
  float* inner = reserve(scratch.gate, tokens * widest);
  qkv_input(w, x, input.data());
  o_input(w, input, scratch, inner);
  apply(w.o, {inner, tokens * config_.q_width()}, x.data(), true);
  gate_up_input(w, x, input.data());
  down_input(w, input, scratch, inner);
  apply(w.down, {inner, tokens * config_.ffn}, x.data(), true);
}

}  // namespace sterna::convert
