// Converts a directory into a temporary file, opens it and makes sessions: what the golden tests need.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>

#include "convert/convert.h"
#include "convert/hf_model.h"
#include "kernels/registry.h"
#include "runtime/session.h"
#include "tests/support/temp_dir.h"

namespace sterna::testing {

inline runtime::ThreadPool& test_pool() {
  static runtime::ThreadPool pool(2);
  return pool;
}

inline const kernels::Kernels& test_kernels() {
  const char* isa = std::getenv("STERNA_ISA");
  const kernels::Kernels* table = kernels::select_kernels(isa == nullptr ? "" : isa);
  return *table;
}

inline Result<convert::ConvertReport> convert_to(const std::filesystem::path& source,
                                                 const std::filesystem::path& output,
                                                 const convert::ConvertOptions& options) {
  return convert::convert_directory(source.string(), output.string(), options, test_pool(), nullptr,
                                    [] { return false; });
}

// The converted model, embedding as stored: for exact comparisons.
inline Result<std::shared_ptr<const runtime::Model>> converted(const std::filesystem::path& source,
                                                               convert::ConvertOptions options = {}) {
  const TempDir directory;
  options.embedding = convert::EmbeddingForm::keep;
  const std::string file = directory.file("model.gguf");
  STERNA_TRY(const auto report, convert_to(source, file, options));
  return runtime::load_model_file(file, {}, test_pool());  // the mapping outlives the file's name
}

inline std::unique_ptr<runtime::Session> new_session(std::shared_ptr<const runtime::Model> model,
                                                     runtime::Session::Options options = {}) {
  options.kv = kernels::KvType::f32;
  auto session = runtime::Session::create(std::move(model), options, test_kernels(), test_pool());
  if (!session) {
    ADD_FAILURE() << session.error().message;
    return nullptr;
  }
  return *std::move(session);
}

}  // namespace sterna::testing
