// What the tests of calibrated conversions share: a checkpoint, a text, and a look into the file.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "convert/convert.h"
#include "kernels/ternary_matmul/pack.h"
#include "runtime/file.h"
#include "runtime/model_file.h"
#include "tests/support/engine.h"
#include "tests/support/shared_data.h"
#include "tests/support/tiny_model.h"

namespace sterna::convert {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::TempDir;
using testing::test_kernels;
using testing::TinyModel;

template <class T>
std::string error_of(const Result<T>& result) {
  return result ? "no error" : result.error().message;
}

// Of TinyModel.
inline constexpr std::size_t kContext = 64;
inline constexpr std::size_t kHidden = 32;

// Sentences of made-up words, the same words for every seed.
inline std::string sentences(std::size_t bytes, unsigned seed) {
  std::mt19937 letters(5);
  std::vector<std::string> words(60);
  for (std::string& word : words) {
    for (auto n = 2 + letters() % 6; n > 0; --n) word.push_back(static_cast<char>('a' + letters() % 26));
  }
  std::mt19937 random(seed);
  std::string text;
  while (text.size() < bytes) {
    for (auto n = 5 + random() % 8; n > 0; --n) text += words[random() % words.size()] + " ";
    text.back() = '.';
    text += random() % 5 == 0 ? "\n" : " ";
  }
  return text;
}

inline TinyModel::Tensor& tensor(TinyModel& model, const std::string& name) {
  const auto found = model.tensors.find(name);
  EXPECT_NE(found, model.tensors.end()) << name;
  return found->second;
}

// Where a checkpoint lies, its calibration text, and the files that are made of it.
class CalibratedConvertTest : public ::testing::Test {
 protected:
  CalibratedConvertTest() { work_.write("words.txt", sentences(kContext * 40, 1)); }

  // 24 windows of the model's context, of which 3 are held out.
  [[nodiscard]] ConvertOptions options(std::size_t planes = 2) const {
    ConvertOptions o;
    o.planes = planes;
    o.fit.emplace();
    o.fit->calibration.text.files = {work_.file("words.txt")};
    o.fit->calibration.text.tokens = kContext * 24;
    o.fit->kernels = &test_kernels();
    return o;
  }
  [[nodiscard]] std::string output() const { return work_.file("m.gguf"); }
  [[nodiscard]] std::string folder() const { return output() + ".calibration"; }

  [[nodiscard]] Result<ConvertReport> convert(
      const ConvertOptions& o, std::size_t threads = 2,
      const std::function<bool()>& cancelled = [] { return false; }) const {
    runtime::ThreadPool pool(threads);
    return convert_directory(source_.path(), output(), o, pool, nullptr, cancelled);
  }
  [[nodiscard]] std::string bytes(const ConvertOptions& o, std::size_t threads = 2) const {
    const auto report = convert(o, threads);
    EXPECT_TRUE(report) << error_of(report);
    return testing::read_file(output());
  }

  TempDir source_;
  TempDir work_;
};

struct Stored {
  runtime::MappedFile file;
  runtime::StoredModel model;
  [[nodiscard]] const runtime::StoredModel::Tensor& at(const std::string& name) const {
    return *std::ranges::find(model.tensors, name, [](const auto& t) { return t.descriptor.name; });
  }
};

inline Stored stored(const std::string& path) {
  auto file = runtime::MappedFile::open(path);
  EXPECT_TRUE(file) << error_of(file);
  auto model = runtime::read_stored_model(file->bytes(), path);
  EXPECT_TRUE(model) << error_of(model);
  return {*std::move(file), *std::move(model)};
}

inline std::vector<std::int8_t> integers(const runtime::StoredModel::Tensor& t) {
  const kernels::TernaryView view = runtime::ternary_view(t.descriptor, t.bytes);
  std::vector<std::int8_t> out(view.rows * view.columns);
  for (std::size_t r = 0; r < view.rows; ++r) kernels::unpack_row(view, r, out.data() + r * view.columns);
  return out;
}

inline std::vector<float> scales(const runtime::StoredModel::Tensor& t) {
  const kernels::TernaryView view = runtime::ternary_view(t.descriptor, t.bytes);
  std::vector<float> out;
  for (std::size_t r = 0; r < view.rows; ++r) {
    for (std::size_t c = 0; c < view.columns; c += kernels::kGroupColumns)
      out.push_back(kernels::scale_at(view, r, c));
  }
  return out;
}

}  // namespace sterna::convert
