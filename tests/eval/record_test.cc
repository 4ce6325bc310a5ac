// A baseline kept in a file, and comparisons with it.
#include "eval/text/record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <random>

#include "eval/evaluate.h"
#include "eval/statistics.h"
#include "eval/text/text.h"
#include "kernels/divergence/reference.h"
#include "tests/support/engine.h"
#include "tests/support/shared_data.h"
#include "tests/support/tiny_model.h"

namespace sterna::eval {
namespace {

using ::testing::HasSubstr;
using testing::TinyModel;

Contestant contestant(const std::string& name, const TinyModel& source, bool is_baseline) {
  const testing::TempDir directory;
  source.write(directory);
  auto model = convert::load_model(directory.path(), {}, testing::test_pool());
  EXPECT_TRUE(model) << (model ? "" : model.error().message);
  const ModelResult who = identify(**model, name, is_baseline, {});
  return {who.name, who.checksum, who.tokenizer, is_baseline,
          testing::new_session(*std::move(model), {.context = 64, .batch = 16})};
}

class RecordTest : public ::testing::Test {
 protected:
  RecordTest() {
    spec_.name = "sample";
    for (int i = 0; i < 130; ++i) spec_.content.push_back(static_cast<char>('a' + i * i % 23));
    spec_.protocol = {"all", 32, 0, false};
  }

  std::vector<TextResult> run(std::vector<Contestant> models, const TextRecord& record) {
    Journal none;
    const auto results = run_text(models, spec_, {none, testing::test_pool(), nullptr, nullptr}, record);
    EXPECT_TRUE(results) << (results ? "" : results.error().message);
    return results ? *results : std::vector<TextResult>{};
  }

  // Model 2 against model 1 directly, whose record is saved.
  std::vector<TextResult> record_and_compare(const std::string& path) {
    std::vector<Contestant> models;
    models.push_back(contestant("base", TinyModel(1), true));
    models.push_back(contestant("other", TinyModel(2), false));
    BaselineRecord record{"base", "float", "12345678", models[0].tokenizer, {}};
    auto direct = run(std::move(models), {nullptr, &record});
    EXPECT_TRUE(save_record(record, path));
    return direct;
  }

  Result<std::vector<TextResult>> against(const std::string& path, const TinyModel& source) {
    STERNA_TRY(const BaselineRecord record, load_record(path));
    std::vector<Contestant> models;
    models.push_back(contestant("other", source, false));
    Journal none;
    return run_text(models, spec_, {none, testing::test_pool(), nullptr, nullptr}, {&record, nullptr});
  }

  testing::TempDir directory_;
  TextSpec spec_;
};

TEST_F(RecordTest, AgreesWithTheBaselineItself) {
  const std::string path = directory_.file("base.safetensors");
  const auto direct = record_and_compare(path);
  const auto got = against(path, TinyModel(2));
  ASSERT_TRUE(got) << got.error().message;
  ASSERT_EQ(got->size(), 2U);  // the record's own numbers, the model's
  EXPECT_EQ((*got)[0].perplexity.value, direct[0].perplexity.value);
  EXPECT_EQ((*got)[0].scored_bytes, direct[0].scored_bytes);
  EXPECT_EQ((*got)[1].perplexity.value, direct[1].perplexity.value);
  const Divergence& recorded = *(*got)[1].divergence;
  const Divergence& exact = *direct[1].divergence;
  EXPECT_EQ(recorded.top1.value, exact.top1.value);
  EXPECT_EQ(recorded.top5.value, exact.top5.value);
  EXPECT_EQ(recorded.nll_change.value, exact.nll_change.value);
  // Over 124 tokens the draws' errors cancel to a few of these; the standard error of the mean, which holds
  // them, is larger by what the tokens differ in themselves.
  EXPECT_NEAR(recorded.kl.value, exact.kl.value, recorded.kl.error);
}

// The draw has no bias: over many rows of one distribution the mean estimate comes to the exact divergence.
TEST(Record, TheTailIsDrawnWithoutBias) {
  constexpr std::size_t kVocab = 300;
  constexpr std::size_t kRows = 400;
  std::mt19937 random(5);
  std::normal_distribution<float> normal(0, 1);
  std::vector<float> p(kVocab);
  std::vector<float> q(kVocab);
  for (std::size_t i = 0; i < kVocab; ++i) {
    p[i] = normal(random);
    q[i] = p[i] + 0.5F * normal(random);
  }
  std::vector<float> baseline;
  std::vector<float> model;
  for (std::size_t r = 0; r < kRows; ++r) {
    baseline.insert(baseline.end(), p.begin(), p.end());
    model.insert(model.end(), q.begin(), q.end());
  }
  const auto& table = testing::test_kernels();
  const auto p_rows = summarize(baseline, kVocab, table, testing::test_pool());
  const auto q_rows = summarize(model, kVocab, table, testing::test_pool());
  RecordedRows rows;
  const std::vector<runtime::TokenId> targets(kRows, 3);
  add_rows(baseline, p_rows, targets, testing::test_pool(), rows);
  EXPECT_EQ(rows.tokens(), kRows);
  EXPECT_EQ(rows.width(), kRecordTop + kRecordTail);
  TokenScores scores;
  add_divergences(rows, 0, model, q_rows, scores);
  const double exact = kernels::reference_divergence(p.data(), q.data(), kVocab);
  const Estimate got = mean_of(scores.kl);
  EXPECT_GT(got.error, 0);
  EXPECT_LT(got.error, 0.02 * exact);  // the rest taken as one token would be off by ten times that
  EXPECT_NEAR(got.value, exact, 4 * got.error);
}

TEST_F(RecordTest, OfTheModelItselfIsCloseToZero) {
  const std::string path = directory_.file("base.safetensors");
  record_and_compare(path);
  const auto got = against(path, TinyModel(1));
  ASSERT_TRUE(got) << got.error().message;
  // Log-probabilities above -8 are kept in float32: each is off by at most 2^-22, and the weights add up
  // to 1.
  EXPECT_NEAR((*got)[1].divergence->kl.value, 0, 0x1p-22);
  EXPECT_EQ((*got)[1].divergence->top1.value, 1);
}

TEST_F(RecordTest, IsRefusedWhereItDoesNotBelong) {
  const std::string path = directory_.file("base.safetensors");
  record_and_compare(path);
  spec_.protocol.window = 16;
  EXPECT_THAT(against(path, TinyModel(2)).error().message, HasSubstr("holds no such text in such windows"));
  spec_.protocol.window = 32;
  TinyModel other_words(2);
  std::swap(other_words.tokenizer["model"]["vocab"]["a"], other_words.tokenizer["model"]["vocab"]["b"]);
  EXPECT_THAT(against(path, other_words).error().message, HasSubstr("its tokenizer differs"));
}

TEST_F(RecordTest, DamagedFilesAreErrors) {
  const std::string path = directory_.file("base.safetensors");
  record_and_compare(path);
  const std::string whole = testing::read_file(path);
  const std::string broken = directory_.file("broken.safetensors");
  for (std::size_t size = 0; size < whole.size(); size += 997) {
    std::ofstream(broken, std::ios::binary) << whole.substr(0, size);
    EXPECT_FALSE(load_record(broken)) << size;
  }
  const testing::TempDir model;
  TinyModel(1).write(model);
  EXPECT_THAT(load_record(model.file("model.safetensors")).error().message,
              HasSubstr("'about' is missing: this is no record"));
}

}  // namespace
}  // namespace sterna::eval
