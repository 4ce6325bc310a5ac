// A Sterna file as a GGUF file that llama.cpp runs.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "convert/convert.h"
#include "runtime/result.h"
#include "runtime/thread_pool.h"

namespace sterna::convert {

// Of the linears: 2.0625 or 1.6875 bits per weight, the trits exactly and their scale as f16; or 16 bits.
enum class ExportType : std::uint8_t { tq2_0, tq1_0, f16 };
enum class ExportHead : std::uint8_t { q8_0, f16 };  // of the embedding and the head

struct ExportOptions {
  ExportType type = ExportType::tq2_0;
  // Default: f16 with ExportType::f16, else q8_0. A width that is no multiple of 32 is always f16.
  std::optional<ExportHead> head = {};
  std::string pre_tokenizer = {};  // llama.cpp's name, where Sterna does not know it; see export_tokens.h
};

struct ExportReport {
  std::string architecture;  // llama.cpp's
  std::uint64_t file_bytes = 0;
  std::uint64_t weights = 0;
  std::uint64_t tensor_bytes = 0;
  std::vector<std::string> notes;  // what llama.cpp computes differently
};

// Checks the source against its checksums, writes beside `output` and renames when the file is whole; on an
// error, or when `cancelled` returns true, nothing is left under `output` and what lay there before is
// untouched. Errors, before anything is written: what llama.cpp has no equal for (export_architecture.h,
// export_tokens.h), ternary types for a model without ternary matrices, or with one that they cannot hold
// (ExportedTensor::check, or a width that is no multiple of 256).
Result<ExportReport> export_model(const std::string& source, const std::string& output,
                                  const ExportOptions& options, runtime::ThreadPool& pool,
                                  const ProgressSink& progress, const std::function<bool()>& cancelled);

}  // namespace sterna::convert
