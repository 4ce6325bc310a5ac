// Models with the shape of real ones and random weights, in memory: speed does not depend on what the trits
// say, so it can be measured without a download.
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "runtime/model.h"

namespace sterna::runtime {

// "2b-4t" (BitNet-b1.58-2B-4T), "0.7b" and "3b" (1bitLLM/bitnet_b1_58-large, -3B), "8b" (Llama3-8B-1.58).
std::span<const std::string_view> synthetic_shapes();

// One plane and one scale per matrix, int8 embedding and head, a tokenizer of bytes. The same model on every
// call, before it becomes a Model: to be repacked, or written by convert/save.h. `rotated`: matrices with an
// input rotation, in blocks of the largest power of two that divides the columns. Errors: unknown shape, no
// memory.
Result<Model::Parts> synthetic_parts(std::string_view shape, ThreadPool& pool, bool rotated = false);

// The same for any configuration, which must be valid.
Result<Model::Parts> synthetic_parts(const ModelConfig& config, ThreadPool& pool, bool rotated = false);
Result<std::shared_ptr<const Model>> synthetic_model(const ModelConfig& config, ThreadPool& pool,
                                                     bool rotated = false);

}  // namespace sterna::runtime
