// A Hugging Face directory into one Sterna file.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "convert/encode.h"
#include "convert/fitted_model.h"
#include "runtime/result.h"
#include "runtime/thread_pool.h"

namespace sterna::convert {

struct ConvertOptions {
  std::optional<std::size_t> planes = {};  // 1..3; for float models only
  // Stored bits per weight of the linears, scales included; instead of planes, for float models that are
  // calibrated (`fit`) only.
  std::optional<double> bits_per_weight = {};
  bool keep_float = false;  // linears stay as stored; for float models only
  EmbeddingForm embedding = EmbeddingForm::int8;
  runtime::Storage storage = runtime::Storage::fast;  // of the ternary matrices
  std::optional<FitRun> fit = {};                     // none: float models get data-free planes
};

struct ConvertReport {
  std::string source;  // "trained ternary (autobitlinear, online)", "float, 3 planes", ...
  std::uint64_t file_bytes = 0;
  std::uint64_t weights = 0;  // in all tensors
  std::uint64_t tensor_bytes = 0;
  std::uint64_t linear_weights = 0;
  std::uint64_t linear_bytes = 0;
  bool planes_by_default = false;  // a float model without --planes or --float
  std::size_t fitted = 0;          // matrices that were ternarised here
  double mean_relative_error = 0;  // over those, ||W - Q|| / ||W||
  double worst_relative_error = 0;
  std::string worst_tensor;
  std::optional<FitReport> fit = {};
};

// Called from the converting thread: bytes of tensors done of all, and what is under way.
struct ConvertProgress {
  std::uint64_t done = 0;
  std::uint64_t total = 0;
  std::string what;
};
using ProgressSink = std::function<void(const ConvertProgress&)>;

// Converts, re-opens the result, compares every tensor with its checksum, and renames it into place only
// then. On an error, or when `cancelled` returns true (asked between tensors and between chunks), nothing is
// left under `output`, and what lay there before is untouched. The same input gives the same bytes at any
// number of threads.
Result<ConvertReport> convert_directory(const std::string& directory, const std::string& output,
                                        const ConvertOptions& options, runtime::ThreadPool& pool,
                                        const ProgressSink& progress, const std::function<bool()>& cancelled);

}  // namespace sterna::convert
