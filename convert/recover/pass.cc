#include "convert/recover/pass.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "convert/graph/derivatives.h"

namespace sterna::convert {

void embed_window(std::span<const float> embedding, std::size_t hidden, std::span<const std::int32_t> ids,
                  float* x) {
  for (const std::int32_t id : ids) {
    const auto row = embedding.subspan(static_cast<std::size_t>(id) * hidden, hidden);
    x = std::copy(row.begin(), row.end(), x);
  }
}

ModelPass::ModelPass(TunableModel& model, std::size_t tokens, std::span<const float> teacher_head,
                     const kernels::Kernels& kernels, runtime::ThreadPool& pool,
                     std::function<bool()> cancelled)
    : model_(model),
      tokens_(tokens),
      teacher_head_(teacher_head),
      pool_(pool),
      cancelled_(std::move(cancelled)),
      graph_(model.config, kernels, tokens) {
  workers_.reserve(pool.size());
  for (std::size_t i = 0; i < pool.size(); ++i)
    workers_.push_back({{}, BlockBackward(graph_), HeadLoss(kernels, model.config.norm_eps)});
}

template <class Body>
void ModelPass::for_windows(std::size_t count, Body&& body) {
  pool_.run(count, 1, [&](std::size_t begin, std::size_t end, std::size_t worker) {
    for (std::size_t i = begin; i < end; ++i) body(i, workers_[worker]);
  });
}

std::span<float> ModelPass::stream(std::size_t window, std::size_t layer) {
  return std::span(windows_[window].streams).subspan(kept_ ? layer * floats() : 0, floats());
}

HeadTarget ModelPass::target(const Sample& sample) const {
  return {sample.teacher, teacher_head_, sample.ids};
}

bool ModelPass::forward(std::span<const Sample> samples, bool keep) {
  kept_ = keep;
  if (windows_.size() < samples.size()) windows_.resize(samples.size());
  const std::size_t layers = model_.blocks.size();
  for_windows(samples.size(), [&](std::size_t i, Worker&) {
    const std::size_t need = (keep ? layers + 1 : 1) * floats();
    if (windows_[i].streams.size() < need) windows_[i].streams.resize(need);
    embed_window(model_.embedding, model_.config.hidden, samples[i].ids, stream(i, 0).data());
  });
  for (std::size_t layer = 0; layer < layers; ++layer) {
    if (cancelled_()) return false;
    TunableBlock& block = model_.blocks[layer];
    const DenseBlock dense(block, dense_, pool_);
    for_windows(samples.size(), [&](std::size_t i, Worker& worker) {
      if (keep) std::ranges::copy(stream(i, layer), stream(i, layer + 1).begin());
      graph_.forward(block.weights, stream(i, layer + 1), worker.forward);
    });
  }
  return !cancelled_();
}

std::optional<double> ModelPass::loss(std::span<const Sample> samples) {
  if (!forward(samples, false)) return std::nullopt;
  const HeadWeights head{model_.norm, model_.head};
  for_windows(samples.size(), [&](std::size_t i, Worker& worker) {
    windows_[i].loss = worker.head.loss(head, target(samples[i]), stream(i, 0));
  });
  double sum = 0;
  for (std::size_t i = 0; i < samples.size(); ++i) sum += windows_[i].loss;
  return sum / static_cast<double>(samples.size());
}

bool ModelPass::backward(std::size_t count, const ParameterMap& map) {
  const std::size_t layers = model_.blocks.size();
  for (std::size_t layer = layers; layer-- > 0;) {
    if (cancelled_()) return false;
    TunableBlock& block = model_.blocks[layer];
    const DenseBlock dense(block, dense_, pool_);
    for_windows(count, [&](std::size_t i, Worker& worker) {
      worker.backward.run(block.weights, stream(i, layer), stream(i, layers),
                          map.block_gradient(layer, windows_[i].gradient));
    });
  }
  return true;
}

std::optional<double> ModelPass::gradient(std::span<const Sample> samples, const ParameterMap& map,
                                          std::span<float> gradient) {
  assert(gradient.size() == map.size());
  if (!forward(samples, true)) return std::nullopt;
  const HeadWeights head{model_.norm, model_.head};
  for_windows(samples.size(), [&](std::size_t i, Worker& worker) {
    Window& window = windows_[i];
    window.gradient.assign(map.size(), 0.0F);
    window.loss = worker.head.backward(head, target(samples[i]), stream(i, model_.blocks.size()),
                                       map.norm_gradient(window.gradient));
  });
  if (!backward(samples.size(), map)) return std::nullopt;
  std::ranges::fill(gradient, 0.0F);
  double sum = 0;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    add_to(windows_[i].gradient.data(), gradient.size(), gradient.data());
    sum += windows_[i].loss;
  }
  const float share = 1.0F / static_cast<float>(samples.size());
  for (float& g : gradient) g *= share;
  return sum / static_cast<double>(samples.size());
}

}  // namespace sterna::convert
