#include "convert/graph/head.h"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "convert/graph/derivatives.h"
#include "runtime/blas.h"

namespace sterna::convert {
namespace {

namespace blas = runtime::blas;

// Logits of one piece: 64 MB, 341 tokens of a vocabulary of 49k, 128 of one of 128k. Every piece packs the
// whole head anew for its products, which took 5 % of a training step with half of that.
constexpr std::size_t kPieceFloats = std::size_t{1} << 24;

// Pieces of about the same size.
std::size_t piece_tokens(std::size_t tokens, std::size_t vocab) {
  const std::size_t most = std::max<std::size_t>(kPieceFloats / vocab, 16);
  const std::size_t pieces = (tokens + most - 1) / most;
  return (tokens + pieces - 1) / pieces;
}

float* room(std::vector<float>& buffer, std::size_t n) {
  if (buffer.size() < n) buffer.resize(n);
  return buffer.data();
}

// out [tokens, vocab] = x rows^T
void logits(std::span<const float> rows, std::size_t hidden, const float* x, std::size_t tokens, float* out) {
  const std::size_t vocab = rows.size() / hidden;
  blas::multiply(tokens, vocab, hidden, 1.0F, {x, hidden}, {rows.data(), hidden, blas::Form::transposed},
                 0.0F, out, vocab);
}

}  // namespace

// The sum over the tokens of a piece, whose logits have been computed.
double HeadLoss::piece_loss(const HeadTarget& target, std::size_t first, std::size_t tokens,
                            std::size_t vocab) {
  double sum = 0;
  for (std::size_t t = 0; t < tokens; ++t) {
    const float* q = logits_.data() + t * vocab;
    if (!target.hidden.empty()) {
      const float* p = teacher_.data() + t * vocab;
      const kernels::SoftmaxTotal p_total = kernels_.softmax_total(p, vocab);
      const kernels::SoftmaxTotal q_total = kernels_.softmax_total(q, vocab);
      sum += kernels_.divergence_sum(p, p_total.maximum, q, q_total.maximum, vocab) / p_total.total -
             std::log(p_total.total) + std::log(q_total.total);
    } else if (first + t + 1 < target.ids.size()) {
      const kernels::SoftmaxTotal total = kernels_.softmax_total(q, vocab);
      const float next = q[static_cast<std::size_t>(target.ids[first + t + 1])];
      sum += std::log(total.total) - static_cast<double>(next - total.maximum);
    }
  }
  return sum;
}

// Logits become dL/dlogits; total: the tokens that the loss is the mean of.
void HeadLoss::derive_piece(const HeadTarget& target, std::size_t first, std::size_t tokens,
                            std::size_t total, std::size_t vocab) {
  const float share = 1.0F / static_cast<float>(total);
  for (std::size_t t = 0; t < tokens; ++t) {
    float* q = logits_.data() + t * vocab;
    if (!target.hidden.empty()) {
      float* p = teacher_.data() + t * vocab;
      kernels_.softmax(q, vocab, q);
      kernels_.softmax(p, vocab, p);
      for (std::size_t i = 0; i < vocab; ++i) q[i] = (q[i] - p[i]) * share;
    } else if (first + t + 1 < target.ids.size()) {
      kernels_.softmax(q, vocab, q);
      q[static_cast<std::size_t>(target.ids[first + t + 1])] -= 1.0F;
      for (std::size_t i = 0; i < vocab; ++i) q[i] *= share;
    } else {
      std::fill_n(q, vocab, 0.0F);
    }
  }
}

double HeadLoss::pieces(const HeadWeights& head, const HeadTarget& target, std::span<const float> x,
                        bool derive) {
  const std::size_t hidden = head.norm.size();
  const std::size_t vocab = head.rows.size() / hidden;
  const std::size_t tokens = x.size() / hidden;
  assert(target.hidden.empty() ? target.ids.size() == tokens : target.hidden.size() == x.size());
  const std::size_t total = target.hidden.empty() ? tokens - 1 : tokens;
  float* normed = room(normed_, x.size());
  for (std::size_t t = 0; t < tokens; ++t)
    kernels_.rms_norm(x.data() + t * hidden, head.norm.data(), hidden, eps_, normed + t * hidden);
  if (derive) room(d_normed_, x.size());
  const std::size_t step = piece_tokens(tokens, vocab);
  double sum = 0;
  for (std::size_t first = 0; first < tokens; first += step) {
    const std::size_t count = std::min(step, tokens - first);
    float* ours = room(logits_, count * vocab);
    logits(head.rows, hidden, normed + first * hidden, count, ours);
    if (!target.hidden.empty()) {
      logits(target.rows, hidden, target.hidden.data() + first * hidden, count,
             room(teacher_, count * vocab));
    }
    sum += piece_loss(target, first, count, vocab);
    if (!derive) continue;
    derive_piece(target, first, count, total, vocab);
    blas::multiply(count, hidden, vocab, 1.0F, {ours, vocab}, {head.rows.data(), hidden}, 0.0F,
                   d_normed_.data() + first * hidden, hidden);
  }
  return sum / static_cast<double>(total);
}

double HeadLoss::loss(const HeadWeights& head, const HeadTarget& target, std::span<const float> x) {
  return pieces(head, target, x, false);
}

double HeadLoss::backward(const HeadWeights& head, const HeadTarget& target, std::span<float> x,
                          std::span<float> norm_gradient) {
  const double loss = pieces(head, target, x, true);
  const std::size_t hidden = head.norm.size();
  // dx goes where dy was: x is needed until its row is done.
  norm_backward(x.data(), head.norm, eps_, x.size() / hidden, d_normed_.data(), d_normed_.data(), false,
                norm_gradient);
  std::copy_n(d_normed_.begin(), x.size(), x.begin());
  return loss;
}

}  // namespace sterna::convert
