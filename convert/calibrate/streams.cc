#include "convert/calibrate/streams.h"

#include <algorithm>
#include <cassert>

#include "convert/matrix_source.h"

namespace sterna::convert {
namespace {

// Windows whose inputs are in memory at once: their second moments are added up together, so the number also
// decides the order of additions and does not depend on the threads.
constexpr std::size_t kChunk = 8;

}  // namespace

Streams::Streams(const BlockGraph& graph, const CalibrationWindows& windows, std::size_t held_out,
                 runtime::ThreadPool& pool)
    : graph_(graph),
      pool_(pool),
      window_(windows.window),
      windows_(windows.windows()),
      held_out_(held_out),
      scratch_(pool.size()) {}

Result<Streams> Streams::create(const BlockGraph& graph, const CalibrationWindows& windows,
                                std::size_t held_out, std::size_t memory, const std::string& folder,
                                const EmbeddingRow& embedding, runtime::ThreadPool& pool) {
  assert(held_out < windows.windows());
  Streams s(graph, windows, held_out, pool);
  const std::size_t tokens = windows.ids.size();
  const std::size_t hidden = graph.config().hidden;
  const std::size_t widest = std::max(graph.columns(Family::o), graph.columns(Family::down));
  for (std::size_t stream = 0; stream < 2; ++stream) {
    STERNA_TRY(ActivationStore store, ActivationStore::create(tokens, hidden, memory, folder));
    s.residual_.push_back(std::move(store));
  }
  for (std::size_t stream = 0; stream < 2; ++stream) {
    STERNA_TRY(ActivationStore store, ActivationStore::create(tokens, widest, memory, folder));
    s.inner_.push_back(std::move(store));
  }
  std::vector<float> row(hidden);
  for (std::size_t t = 0; t < tokens; ++t) {
    STERNA_CHECK(embedding(windows.ids[t], row));
    for (ActivationStore& store : s.residual_) STERNA_CHECK(store.write(t, row));
  }
  return s;
}

Status Streams::residual(std::size_t stream, std::size_t window, std::span<float> out) const {
  return residual_[stream].read(window * window_, out);
}

Status Streams::add_inner(const DenseLinear& linear, std::size_t columns, std::size_t window,
                          std::size_t stream, BlockGraph::Scratch& scratch, std::span<float> residual) {
  // The rows of a window lie side by side at its place, narrower than the store's when they are o's.
  scratch.gate.resize(window_ * inner_[stream].width());
  STERNA_CHECK(inner_[stream].read(window * window_, scratch.gate));
  STERNA_CHECK(residual_[stream].read(window * window_, residual));
  BlockGraph::apply(linear, std::span(scratch.gate).first(window_ * columns), residual.data(), true);
  return residual_[stream].write(window * window_, residual);
}

Status Streams::produce(Family family, std::size_t window, std::size_t stream, const BlockWeights& w,
                        BlockGraph::Scratch& scratch, std::span<float> out, std::span<float> residual) {
  const std::size_t hidden = graph_.config().hidden;
  if (family == Family::gate_up) {
    STERNA_CHECK(add_inner(w.o, graph_.columns(Family::o), window, stream, scratch, residual));
    graph_.gate_up_input(w, residual, out.data());
    return {};
  }
  STERNA_CHECK(residual_[stream].read(window * window_, residual));
  if (family == Family::qkv) {
    graph_.qkv_input(w, residual, out.data());
    return {};
  }
  scratch.input.resize(window_ * hidden);
  scratch.gate.resize(window_ * inner_[stream].width());
  const auto inner = std::span(scratch.gate).first(out.size());
  if (family == Family::o) {
    graph_.qkv_input(w, residual, scratch.input.data());
    graph_.o_input(w, scratch.input, scratch, inner.data());
  } else {
    graph_.gate_up_input(w, residual, scratch.input.data());
    graph_.down_input(w, scratch.input, scratch, inner.data());
  }
  std::ranges::copy(inner, out.begin());
  return inner_[stream].write(window * window_, scratch.gate);
}

Result<Moments> Streams::moments(Family family, const BlockWeights& original, const BlockWeights& quantised) {
  const std::size_t hidden = graph_.config().hidden;
  const std::size_t columns = graph_.columns(family);
  const bool drifts = family == Family::o || family == Family::down;
  Moments moments(columns, drifts ? hidden : 0);
  const std::size_t chunk_tokens = std::min(kChunk, windows_) * window_;
  std::array<std::vector<float>, 2> inputs;
  std::array<std::vector<float>, 2> residuals;
  for (std::size_t s = 0; s < 2; ++s) {
    inputs[s].resize(chunk_tokens * columns);
    residuals[s].resize(chunk_tokens * hidden);
  }
  for (std::size_t first = 0; first < windows_; first += kChunk) {
    const std::size_t count = std::min(kChunk, windows_ - first);
    FirstError error;
    pool_.run(2 * count, 1, [&](std::size_t begin, std::size_t end, std::size_t worker) {
      for (std::size_t task = begin; task < end; ++task) {
        const std::size_t s = task % 2;
        const std::size_t at = task / 2;
        const auto status = produce(family, first + at, s, s == 0 ? original : quantised, scratch_[worker],
                                    std::span(inputs[s]).subspan(at * window_ * columns, window_ * columns),
                                    std::span(residuals[s]).subspan(at * window_ * hidden, window_ * hidden));
        if (!status) error.report(task, status.error());
      }
    });
    STERNA_CHECK(error.status());
    const std::size_t counted = std::min(count, windows_ - held_out_ - std::min(first, windows_ - held_out_));
    const std::size_t tokens = counted * window_;
    if (tokens == 0) continue;
    const auto subtract = [&](std::array<std::vector<float>, 2>& rows, std::size_t width) {
      pool_.run(tokens, 64, [&](std::size_t begin, std::size_t end, std::size_t) {
        for (std::size_t i = begin * width; i < end * width; ++i) rows[0][i] -= rows[1][i];
      });
    };
    subtract(inputs, columns);
    if (drifts) subtract(residuals, hidden);
    moments.add(std::span(inputs[1]).first(tokens * columns), std::span(inputs[0]).first(tokens * columns),
                std::span(residuals[0]).first(drifts ? tokens * hidden : 0), pool_);
  }
  moments.finish();
  return moments;
}

Status Streams::finish_layer(const BlockWeights& original, const BlockWeights& quantised) {
  FirstError error;
  pool_.run(2 * windows_, 1, [&](std::size_t begin, std::size_t end, std::size_t worker) {
    std::vector<float> residual(window_ * graph_.config().hidden);
    for (std::size_t task = begin; task < end; ++task) {
      const std::size_t s = task % 2;
      const DenseLinear& down = s == 0 ? original.down : quantised.down;
      const auto status =
          add_inner(down, graph_.columns(Family::down), task / 2, s, scratch_[worker], residual);
      if (!status) error.report(task, status.error());
    }
  });
  return error.status();
}

Status Streams::skip_layer(const BlockWeights& original, const BlockWeights& quantised) {
  FirstError error;
  pool_.run(2 * windows_, 1, [&](std::size_t begin, std::size_t end, std::size_t worker) {
    std::vector<float> x(window_ * graph_.config().hidden);
    for (std::size_t task = begin; task < end; ++task) {
      const std::size_t s = task % 2;
      const std::size_t at = task / 2 * window_;
      const auto run = [&]() -> Status {
        STERNA_CHECK(residual_[s].read(at, x));
        graph_.forward(s == 0 ? original : quantised, x, scratch_[worker]);
        return residual_[s].write(at, x);
      };
      const auto status = run();
      if (!status) error.report(task, status.error());
    }
  });
  return error.status();
}

}  // namespace sterna::convert
