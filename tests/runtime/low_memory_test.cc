// Embedding and head left in the file: the same bits as from memory, and an error instead of a crash when the
// file goes away.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <tuple>
#include <vector>

#include "convert/hf_model.h"
#include "tests/support/engine.h"
#include "tests/support/tiny_model.h"

namespace sterna::runtime {
namespace {

using ::testing::HasSubstr;
using testing::TempDir;
using testing::TinyModel;

std::string tiny_file(const TempDir& directory, bool tied, convert::EmbeddingForm form) {
  TinyModel model;
  if (!tied) {
    model.config["tie_word_embeddings"] = false;
    model.tensors["lm_head.weight"] = TinyModel(2).tensors["model.embed_tokens.weight"];
  }
  model.write(directory);
  const auto report =
      testing::convert_to(directory.path(), directory.file("tiny.gguf"), {.planes = 2, .embedding = form});
  EXPECT_TRUE(report) << (report ? "" : report.error().message);
  return directory.file("tiny.gguf");
}

std::shared_ptr<const Model> load(const std::string& path, bool low_memory) {
  const auto model = load_model_file(path, {.low_memory = low_memory}, testing::test_pool());
  EXPECT_TRUE(model) << (model ? "" : model.error().message);
  return model ? *model : nullptr;
}

std::vector<TokenId> some_ids(std::size_t n) {
  std::vector<TokenId> ids(n);
  for (std::size_t i = 0; i < n; ++i) ids[i] = static_cast<TokenId>((i * 37 + 5) % 256);
  return ids;
}

std::vector<float> all_logits(const std::shared_ptr<const Model>& model, std::size_t batch,
                              ThreadPool& pool) {
  auto session = Session::create(model, {.context = 64, .batch = batch}, testing::test_kernels(), pool);
  EXPECT_TRUE(session);
  std::vector<float> all;
  EXPECT_TRUE((*session)->append(some_ids(50), [&](std::size_t, std::span<const float> logits) {
    all.insert(all.end(), logits.begin(), logits.end());
  }));
  return all;
}

class LowMemory : public ::testing::TestWithParam<std::tuple<convert::EmbeddingForm, bool>> {};

// Batches on both sides of the number of tokens from which BLAS computes the head.
TEST_P(LowMemory, GivesTheSameBits) {
  const TempDir directory;
  const auto [form, tied] = GetParam();
  const std::string path = tiny_file(directory, tied, form);
  const auto in_memory = load(path, false);
  const auto in_file = load(path, true);
  ASSERT_TRUE(in_memory->weights().output.in_memory());
  ASSERT_FALSE(in_file->weights().embedding.in_memory());
  ASSERT_FALSE(in_file->weights().output.in_memory());
  for (const std::size_t threads : {1U, 3U}) {
    ThreadPool pool(threads);
    for (const std::size_t batch : {1U, 15U, 50U}) {
      EXPECT_EQ(all_logits(in_file, batch, pool), all_logits(in_memory, batch, pool))
          << threads << " threads, batches of " << batch;
    }
  }
}

// The head in two passes: only the int8 form has one.
TEST_P(LowMemory, GivesTheSameLargestLogits) {
  const TempDir directory;
  const auto [form, tied] = GetParam();
  const std::string path = tiny_file(directory, tied, form);
  ThreadPool pool(3);
  std::vector<std::vector<float>> logits;
  for (const bool low_memory : {false, true}) {
    auto session = Session::create(load(path, low_memory), {}, testing::test_kernels(), pool);
    ASSERT_TRUE(session);
    for (const TokenId id : some_ids(10)) {
      ASSERT_TRUE((*session)->append({&id, 1}, {5}));
      logits.emplace_back((*session)->logits().begin(), (*session)->logits().end());
    }
    EXPECT_EQ((*session)->head_reads().screened, form == convert::EmbeddingForm::int8);
  }
  for (std::size_t i = 0; i < 10; ++i) EXPECT_EQ(logits[i], logits[10 + i]) << "token " << i;
}

INSTANTIATE_TEST_SUITE_P(Forms, LowMemory,
                         ::testing::Combine(::testing::Values(convert::EmbeddingForm::int8,
                                                              convert::EmbeddingForm::bf16,
                                                              convert::EmbeddingForm::keep),
                                            ::testing::Bool()));

TEST(LowMemoryFile, ThatBecomesShorterIsAnErrorAndChangesNothing) {
  const TempDir directory;
  const std::string path = tiny_file(directory, false, convert::EmbeddingForm::keep);
  const auto model = load(path, true);
  auto session = Session::create(model, {.batch = 2}, testing::test_kernels(), testing::test_pool());
  ASSERT_TRUE(session);
  ASSERT_TRUE((*session)->append(some_ids(3)));
  const auto size = std::filesystem::file_size(path);
  std::filesystem::resize_file(path, size - 64);  // the head is the last tensor
  const Status status = (*session)->append(some_ids(5));
  ASSERT_FALSE(status);
  EXPECT_THAT(status.error().message, HasSubstr("tiny.gguf: became shorter"));
  EXPECT_EQ((*session)->position(), 3U);
}

TEST(LowMemoryDirectory, IsAnErrorThatSaysWhatToDo) {
  const TempDir directory;
  TinyModel().write(directory);
  const auto model = convert::load_model(directory.path(), {.low_memory = true}, testing::test_pool());
  ASSERT_FALSE(model);
  EXPECT_THAT(model.error().message, HasSubstr("sterna convert"));
}

}  // namespace
}  // namespace sterna::runtime
