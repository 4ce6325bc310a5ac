// The two streams of a calibration: what the float model and the quantised model make of the same tokens,
// layer by layer.
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "convert/calibrate/moments.h"
#include "convert/calibrate/store.h"
#include "convert/calibrate/text.h"
#include "convert/graph/block.h"
#include "convert/graph/load.h"
#include "runtime/result.h"
#include "runtime/thread_pool.h"

namespace sterna::convert {

class Streams {
 public:
  // `held_out` of the windows, the last ones, are carried along but not counted in the moments.
  static Result<Streams> create(const BlockGraph& graph, const CalibrationWindows& windows,
                                std::size_t held_out, std::size_t memory, const std::string& folder,
                                const EmbeddingRow& embedding, runtime::ThreadPool& pool);

  // The moments of a family's input in the layer that is under way; families come in the order of the graph,
  // and those in front must have their final weights in `quantised` by then.
  Result<Moments> moments(Family family, const BlockWeights& original, const BlockWeights& quantised);
  // The end of a layer whose moments were taken.
  Status finish_layer(const BlockWeights& original, const BlockWeights& quantised);
  // A whole layer whose weights are known.
  Status skip_layer(const BlockWeights& original, const BlockWeights& quantised);

  // The residual stream [window, hidden] of a window: 0 the float model's, 1 the quantised one's.
  Status residual(std::size_t stream, std::size_t window, std::span<float> out) const;
  [[nodiscard]] std::size_t windows() const { return windows_; }
  [[nodiscard]] std::size_t held_out() const { return held_out_; }
  [[nodiscard]] std::size_t window() const { return window_; }

 private:
  Streams(const BlockGraph& graph, const CalibrationWindows& windows, std::size_t held_out,
          runtime::ThreadPool& pool);
  // Inputs of the family for a window and stream, from the stores; keeps what the next family needs there.
  Status produce(Family family, std::size_t window, std::size_t stream, const BlockWeights& w,
                 BlockGraph::Scratch& scratch, std::span<float> out, std::span<float> residual);
  // residual += linear(inner)
  Status add_inner(const DenseLinear& linear, std::size_t columns, std::size_t window, std::size_t stream,
                   BlockGraph::Scratch& scratch, std::span<float> residual);

  const BlockGraph& graph_;
  runtime::ThreadPool& pool_;
  std::size_t window_;
  std::size_t windows_;
  std::size_t held_out_;
  std::vector<ActivationStore> residual_;  // [2]
  std::vector<ActivationStore> inner_;     // [2] the inputs of o or down, rows as wide as the wider of them
  std::vector<BlockGraph::Scratch> scratch_;  // one per thread
};

}  // namespace sterna::convert
