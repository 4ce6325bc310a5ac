// What the float model says about a text, computed once before the tuning, so that its weights are gone by
// then: the states that its head multiplies, 4 hidden bytes for a token instead of 4 vocab for its logits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "convert/graph/block.h"
#include "kernels/registry.h"
#include "runtime/config.h"
#include "runtime/result.h"
#include "runtime/thread_pool.h"

namespace sterna::convert {

// A text in windows of `tokens` tokens, each of which begins at position 0. ids.size() is a multiple of it.
struct TextWindows {
  std::span<const std::int32_t> ids;  // each below the vocabulary's size
  std::size_t tokens = 0;             // >= 2
  [[nodiscard]] std::size_t count() const { return ids.size() / tokens; }
  [[nodiscard]] std::span<const std::int32_t> window(std::size_t i) const {
    return ids.subspan(i * tokens, tokens);
  }
};

struct Teacher {
  std::span<const float> head;  // [vocab, hidden]
  // out [tokens, hidden] = the states of a window after the teacher's final norm. Wherever they are kept;
  // called by the tuning thread only.
  std::function<Status(std::size_t window, std::span<float> out)> states;
};

struct TeacherWeights {
  std::span<const float> embedding;                              // [vocab, hidden]
  std::span<const float> norm;                                   // [hidden], before the head
  std::size_t layers = 0;                                        // of the model
  std::function<Result<BlockWeights>(std::size_t layer)> block;  // asked for once each, in order
};

// [windows, tokens, hidden]: the residual streams after the last block for all windows of a text, one block
// in memory at a time; `norm` is not used. Errors: those of `block`, and cancelled.
Result<std::vector<float>> residual_streams(const runtime::ModelConfig& config, const TeacherWeights& weights,
                                            const TextWindows& text, const kernels::Kernels& kernels,
                                            runtime::ThreadPool& pool,
                                            const std::function<bool()>& cancelled);

// The same after the final norm: what a teacher's head multiplies.
Result<std::vector<float>> teacher_states(const runtime::ModelConfig& config, const TeacherWeights& weights,
                                          const TextWindows& text, const kernels::Kernels& kernels,
                                          runtime::ThreadPool& pool, const std::function<bool()>& cancelled);

// A teacher whose states are in memory, as teacher_states gives them; `states` must outlive it.
Teacher teacher_in_memory(std::span<const float> head, std::span<const float> states);

}  // namespace sterna::convert
