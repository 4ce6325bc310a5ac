// A Sterna GGUF file, opened and checked, before any of it is used: metadata decoded, every tensor that the
// configuration implies present with the shape it must have.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "runtime/file.h"
#include "runtime/format.h"
#include "runtime/gguf.h"
#include "runtime/model.h"
#include "runtime/tensor_list.h"
#include "runtime/thread_pool.h"

namespace sterna::runtime {

struct StoredModel {
  struct Tensor {
    TensorSpec spec;
    TensorDescriptor descriptor;
    std::span<const std::byte> bytes;
  };
  ModelConfig config;
  TextParts text;
  std::string source;
  std::vector<Tensor> tensors;  // in tensor_list(config) order
};

// Reads everything but the tensors' contents; `file` must outlive the result's spans.
Result<StoredModel> read_stored_model(std::span<const std::byte> file, const std::string& where);

// The contents: checksum, no code 3, scales finite. Over the pool, a tensor at a time; after(bytes) follows
// each tensor, from several threads at once.
Status verify_tensors(const StoredModel& model, const std::string& where, ThreadPool& pool,
                      const std::function<void(std::span<const std::byte>)>& after = nullptr);

}  // namespace sterna::runtime
