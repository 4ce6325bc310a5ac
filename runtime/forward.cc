#include "runtime/forward.h"

#include <algorithm>

#include "runtime/attention.h"
#include "runtime/linear.h"
#include "runtime/rotary.h"
#include "runtime/top_rows.h"

namespace sterna::runtime {
namespace {

template <class Body>
void for_tokens(ForwardContext& c, std::size_t tokens, Body body) {
  c.pool.run(tokens, 1, [&](std::size_t begin, std::size_t end, std::size_t) {
    for (std::size_t t = begin; t < end; ++t) body(t);
  });
}

// y [tokens, n] = RMSNorm(x) * gain, y may be x.
void norm(ForwardContext& c, const float* x, const float* gain, std::size_t tokens, std::size_t n, float* y) {
  for_tokens(c, tokens,
             [&](std::size_t t) { c.kernels.rms_norm(x + t * n, gain, n, c.config.norm_eps, y + t * n); });
}

void add_to_residual(ForwardContext& c, std::size_t tokens) {
  const std::size_t n = c.config.hidden;
  for_tokens(c, tokens, [&](std::size_t t) {
    c.kernels.add(c.act.projected.data() + t * n, n, c.act.x.data() + t * n);
  });
}

// Norm of each head (Qwen3), rotation, and storage of the new keys and values.
void rotate_and_store(ForwardContext& c, const LayerWeights& w, std::size_t layer, std::size_t tokens,
                      std::size_t position) {
  const ModelConfig& m = c.config;
  const std::size_t d = m.head_dim;
  const auto heads = [&](float* x, std::size_t count, const float* gain, std::size_t t) {
    if (gain != nullptr) {
      for (std::size_t h = 0; h < count; ++h) c.kernels.rms_norm(x + h * d, gain, d, m.norm_eps, x + h * d);
    }
    c.kernels.rope(x, count, d, c.act.cos.data() + t * (d / 2), c.act.sin.data() + t * (d / 2));
  };
  for_tokens(c, tokens, [&](std::size_t t) {
    float* k = c.act.k.data() + t * m.kv_width();
    const float* v = c.act.v.data() + t * m.kv_width();
    heads(c.act.q.data() + t * m.q_width(), m.heads, w.q_norm, t);
    heads(k, m.kv_heads, w.k_norm, t);
    for (std::size_t h = 0; h < m.kv_heads; ++h) {
      const KvCache::Row key = c.cache.key(layer, h, position + t);
      const KvCache::Row value = c.cache.value(layer, h, position + t);
      c.kernels.kv_store(k + h * d, d, c.cache.type(), key.data, key.scale);
      c.kernels.kv_store(v + h * d, d, c.cache.type(), value.data, value.scale);
    }
  });
}

kernels::GateFunction gate_function(Gate gate) {
  return gate == Gate::relu2 ? kernels::GateFunction::relu2 : kernels::GateFunction::silu;
}

}  // namespace

Status embed(ForwardContext& c, std::span<const TokenId> ids, std::size_t position) {
  assert(ids.size() <= c.act.batch);
  const StepTimer timer(c.profile, Step::embed);
  const std::size_t n = c.config.hidden;
  const std::size_t pairs = c.config.head_dim / 2;
  for (std::size_t t = 0; t < ids.size(); ++t) {
    const auto row = static_cast<std::size_t>(ids[t]);
    STERNA_TRY(const kernels::DenseView view,
               c.weights.embedding.rows(c.kernels, row, row + 1, c.act.worker_rows(0)));
    c.kernels.dense_row(view, 0, c.act.x.data() + t * n);
  }
  for_tokens(c, ids.size(), [&](std::size_t t) {
    fill_rotary_row(c.act.frequencies.span(), position + t, c.act.cos.data() + t * pairs,
                    c.act.sin.data() + t * pairs);
  });
  return {};
}

void transformer_block(ForwardContext& c, std::size_t layer, std::size_t tokens, std::size_t position) {
  const ModelConfig& m = c.config;
  const LayerWeights& w = c.weights.layers[layer];
  Activations& a = c.act;
  const auto step = [&](Step name, const auto& body) {
    const StepTimer timer(c.profile, name, layer);
    body();
  };
  const auto linears = [&](Step before, const LinearInput& input, Step name,
                           std::span<const Projection> projections) {
    PreparedInput prepared;
    step(before, [&] { prepared = prepare_input(c.kernels, c.pool, a, input, tokens, projections); });
    step(name, [&] { project(c.kernels, c.pool, a, prepared, m.linear_norm_eps, projections); });
  };

  LinearInput input{.x = a.x.data(), .norm = w.attention_norm, .eps = m.norm_eps};
  const Projection qkv[] = {{&w.q, a.q.data()}, {&w.k, a.k.data()}, {&w.v, a.v.data()}};
  linears(Step::norm, input, Step::qkv, qkv);
  step(Step::rope, [&] { rotate_and_store(c, w, layer, tokens, position); });
  step(Step::attention, [&] { attend(c, layer, tokens, position); });
  const LinearInput attention{.x = a.attention.data(), .norm = w.attention_sub_norm, .eps = m.norm_eps};
  const Projection o[] = {{&w.o, a.projected.data()}};
  linears(Step::norm, attention, Step::o, o);

  input.residual = a.projected.data();
  input.norm = w.ffn_norm;
  const Projection gate_up[] = {{&w.gate, a.gate.data()}, {&w.up, a.up.data()}};
  linears(Step::norm, input, Step::gate_up, gate_up);
  const LinearInput gated{.x = a.gate.data(),
                          .up = a.up.data(),
                          .gate = gate_function(m.gate),
                          .norm = w.ffn_sub_norm,
                          .eps = m.norm_eps};
  const Projection down[] = {{&w.down, a.projected.data()}};
  linears(Step::activation, gated, Step::down, down);
  step(Step::add, [&] { add_to_residual(c, tokens); });
}

Status head(ForwardContext& c, std::size_t first, std::size_t tokens, LogitsNeed need) {
  const StepTimer timer(c.profile, Step::head);
  const std::size_t n = c.config.hidden;
  norm(c, c.act.x.data() + first * n, c.weights.output_norm, tokens - first, n, c.act.normed.data());
  if (tokens - first == 1 && can_screen(c.weights.output, need.top)) {
    return project_top(c.kernels, c.pool, c.act, c.weights.output, c.act.normed.data(), need.top,
                       c.act.logits.data());
  }
  c.act.head_reads = {false, 0, c.weights.output.count()};
  return project_dense(c.kernels, c.pool, c.act, c.weights.output, c.act.normed.data(), tokens - first,
                       c.act.logits.data());
}

}  // namespace sterna::runtime
