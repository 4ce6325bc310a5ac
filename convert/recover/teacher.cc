#include "convert/recover/teacher.h"

#include <algorithm>

#include "convert/recover/pass.h"

namespace sterna::convert {

Result<std::vector<float>> residual_streams(const runtime::ModelConfig& config, const TeacherWeights& weights,
                                            const TextWindows& text, const kernels::Kernels& kernels,
                                            runtime::ThreadPool& pool,
                                            const std::function<bool()>& cancelled) {
  const BlockGraph graph(config, kernels, text.tokens);
  std::vector<BlockGraph::Scratch> scratch(pool.size());
  const std::size_t floats = text.tokens * config.hidden;
  std::vector<float> states(text.count() * floats);
  const auto for_windows = [&](const auto& body) {
    pool.run(text.count(), 1, [&](std::size_t begin, std::size_t end, std::size_t worker) {
      for (std::size_t i = begin; i < end; ++i)
        body(i, std::span(states).subspan(i * floats, floats), scratch[worker]);
    });
  };
  for_windows([&](std::size_t i, std::span<float> x, BlockGraph::Scratch&) {
    embed_window(weights.embedding, config.hidden, text.window(i), x.data());
  });
  for (std::size_t layer = 0; layer < weights.layers; ++layer) {
    if (cancelled()) return fail("interrupted in layer {} of the float model", layer);
    STERNA_TRY(const BlockWeights block, weights.block(layer));
    for_windows([&](std::size_t, std::span<float> x, BlockGraph::Scratch& mine) {
      if (!cancelled()) graph.forward(block, x, mine);
    });
  }
  if (cancelled()) return fail("interrupted in the last layer of the float model");
  return states;
}

Result<std::vector<float>> teacher_states(const runtime::ModelConfig& config, const TeacherWeights& weights,
                                          const TextWindows& text, const kernels::Kernels& kernels,
                                          runtime::ThreadPool& pool, const std::function<bool()>& cancelled) {
  STERNA_TRY(std::vector<float> states, residual_streams(config, weights, text, kernels, pool, cancelled));
  pool.run(states.size() / config.hidden, 64, [&](std::size_t begin, std::size_t end, std::size_t) {
    for (std::size_t t = begin; t < end; ++t) {
      float* row = states.data() + t * config.hidden;
      kernels.rms_norm(row, weights.norm.data(), config.hidden, config.norm_eps, row);
    }
  });
  return states;
}

Teacher teacher_in_memory(std::span<const float> head, std::span<const float> states) {
  return {head, [states](std::size_t window, std::span<float> out) -> Status {
            std::ranges::copy(states.subspan(window * out.size(), out.size()), out.begin());
            return {};
          }};
}

}  // namespace sterna::convert
