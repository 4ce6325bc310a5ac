// A Sterna GGUF file, opened and checked, before any of it is used: metadata decoded, every tensor that the
// configuration implies present with the shape it must have.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "runtime/file.h"
#include "runtime/format.h"
#include "runtime/gguf.h"
#include "runtime/model.h"
#include "runtime/tensor_list.h"

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
  Calibration calibration;
  std::uint32_t checksum = 0;   // of the header, and so of everything: it holds the tensors' checksums
  std::uint32_t origin = 0;     // that of the file of which this one is a repacked copy; 0: none
  std::vector<Tensor> tensors;  // in tensor_list(config) order
};

// Reads everything but the tensors' contents; `file` must outlive the result's spans.
Result<StoredModel> read_stored_model(std::span<const std::byte> file, const std::string& where);

}  // namespace sterna::runtime
