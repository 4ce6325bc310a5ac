// What is in a model file or directory, as data: any GGUF and any Hugging Face directory, also those that we
// cannot run.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "runtime/result.h"
#include "runtime/thread_pool.h"

namespace sterna::convert {

struct TritCounts {
  std::uint64_t minus = 0;
  std::uint64_t zero = 0;
  std::uint64_t plus = 0;
};

struct InspectedTensor {
  std::string name;
  std::string type;                  // "trit2-16x16, 1 plane", "BF16", "Q4_K"
  std::vector<std::uint64_t> shape;  // rows first; as stored for packed Hugging Face tensors
  std::uint64_t weights = 0;         // 4 per byte in packed Hugging Face tensors
  std::uint64_t bytes = 0;
  std::optional<TritCounts> trits;   // over all planes
  std::uint64_t rotation_block = 0;  // of the input of a ternary matrix; 0: none
  std::uint32_t rotation_seed = 0;
  std::uint64_t planes = 0;  // of a ternary matrix of ours; 0: none
};

struct Inspection {
  std::string path;
  std::string format;  // "Sterna GGUF", "GGUF", "Hugging Face directory"
  std::string architecture;
  std::string form;      // how the weights came about; empty if unknown
  std::string runnable;  // empty: sterna runs it; else why not
  std::uint64_t file_bytes = 0;
  nlohmann::ordered_json metadata = nlohmann::ordered_json::object();
  std::string chat_template;
  std::vector<InspectedTensor> tensors;
};

// verify: for Sterna files, compare every tensor with its checksum, too.
Result<Inspection> inspect(const std::string& path, bool verify, runtime::ThreadPool& pool);

}  // namespace sterna::convert
