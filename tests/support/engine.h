// Converts a directory into a temporary file, opens it and makes sessions: what the golden tests need.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>

#include "convert/convert.h"
#include "convert/hf_model.h"
#include "kernels/registry.h"
#include "runtime/session.h"

namespace sterna::testing {

// A directory of its own that goes with the object.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "sterna-test-XXXXXX").string();
    const char* made = ::mkdtemp(pattern.data());
    if (made != nullptr) path_ = made;
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

inline runtime::ThreadPool& test_pool() {
  static runtime::ThreadPool pool(2);
  return pool;
}

inline const kernels::Kernels& test_kernels() {
  const char* isa = std::getenv("STERNA_ISA");
  const kernels::Kernels* table = kernels::select_kernels(isa == nullptr ? "" : isa);
  return *table;
}

inline Result<convert::ConvertReport> convert_to(const std::filesystem::path& source, const std::filesystem::path& output,
                                                 const convert::ConvertOptions& options) {
  return convert::convert_directory(source.string(), output.string(), options, test_pool(), nullptr, [] { return false; });
}

// The converted model, embedding as stored: for exact comparisons.
inline Result<std::shared_ptr<const runtime::Model>> converted(const std::filesystem::path& source,
                                                               convert::ConvertOptions options = {}) {
  const TemporaryDirectory directory;
  options.embedding = convert::EmbeddingForm::keep;
  const auto file = directory.path() / "model.gguf";
  STERNA_TRY(const auto report, convert_to(source, file, options));
  return runtime::load_model_file(file.string(), {}, test_pool());  // the mapping outlives the file's name
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
