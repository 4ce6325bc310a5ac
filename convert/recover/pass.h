// The loss of a tunable model on windows of a text, and its derivatives. The windows go through the model
// together, a block at a time, so that only one block is ever dense; each is computed by one thread, and what
// they give is added up in their order, so that no bit depends on the number of threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "convert/graph/backward.h"
#include "convert/graph/block.h"
#include "convert/graph/head.h"
#include "convert/recover/tunable.h"
#include "kernels/registry.h"
#include "runtime/thread_pool.h"

namespace sterna::convert {

// x [tokens, hidden] = the rows of the tokens
void embed_window(std::span<const float> embedding, std::size_t hidden, std::span<const std::int32_t> ids,
                  float* x);

struct Sample {
  std::span<const std::int32_t> ids;
  std::span<const float> teacher;  // [tokens, hidden] as in HeadTarget, or empty
};

class ModelPass {
 public:
  // tokens: of every window. teacher_head: [vocab, hidden], or empty. cancelled is asked before every block.
  ModelPass(TunableModel& model, std::size_t tokens, std::span<const float> teacher_head,
            const kernels::Kernels& kernels, runtime::ThreadPool& pool, std::function<bool()> cancelled);

  // The mean loss of the windows; none when cancelled.
  std::optional<double> loss(std::span<const Sample> samples);
  // The same, and its derivatives, which overwrite gradient [map.size()].
  std::optional<double> gradient(std::span<const Sample> samples, const ParameterMap& map,
                                 std::span<float> gradient);

 private:
  // Memory of one thread, and of one window of a batch.
  struct Worker {
    BlockGraph::Scratch forward;
    BlockBackward backward;
    HeadLoss head;
  };
  struct Window {
    std::vector<float> streams;   // [layers + 1, tokens, hidden]: the residual stream at every block's entry
    std::vector<float> gradient;  // [map.size()]
    double loss = 0;
  };

  bool forward(std::span<const Sample> samples, bool keep);
  bool backward(std::size_t windows, const ParameterMap& map);
  // body(window, worker) on the threads
  template <class Body>
  void for_windows(std::size_t count, Body&& body);
  [[nodiscard]] std::span<float> stream(std::size_t window, std::size_t layer);
  [[nodiscard]] HeadTarget target(const Sample& sample) const;
  [[nodiscard]] std::size_t floats() const { return tokens_ * model_.config.hidden; }

  TunableModel& model_;
  std::size_t tokens_;
  std::span<const float> teacher_head_;
  runtime::ThreadPool& pool_;
  std::function<bool()> cancelled_;
  BlockGraph graph_;
  std::vector<Worker> workers_;
  std::vector<Window> windows_;
  DenseBlock::Buffers dense_;
  bool kept_ = false;  // are all streams of the windows there, or only the last?
};

}  // namespace sterna::convert
