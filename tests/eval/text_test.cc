// Texts: against plain sums in double, against closed forms, and whole models against transformers.
#include "eval/text/text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "kernels/divergence/reference.h"
#include "tests/support/engine.h"
#include "tests/support/tiny_model.h"

namespace sterna::eval {
namespace {

using runtime::TokenId;
using ::testing::HasSubstr;
using testing::TinyModel;

std::shared_ptr<const runtime::Model> load(const TinyModel& source) {
  const testing::TempDir directory;
  source.write(directory);
  auto model = convert::load_model(directory.path(), {}, testing::test_pool());
  EXPECT_TRUE(model) << (model ? "" : model.error().message);
  return model ? *model : nullptr;
}

Contestant contestant(const std::string& name, std::shared_ptr<const runtime::Model> model, bool is_baseline,
                      std::size_t batch = 16) {
  Contestant c;
  c.name = name;
  c.checksum = fmt::format("{:08x}", model->checksum());
  c.is_baseline = is_baseline;
  c.session = testing::new_session(std::move(model), {.context = 64, .batch = batch});
  return c;
}

std::string some_text(std::size_t bytes) {
  std::string text;
  for (std::size_t i = 0; i < bytes; ++i) text.push_back(static_cast<char>('a' + i * i % 23));
  return text;
}

TextSpec spec(const std::string& protocol, std::size_t window = 32) {
  return {.name = "sample",
          .content = some_text(130),
          .protocol = {.name = protocol, .window = window, .stride = 20},
          .bos = {},
          .parse_special = false,
          .max_windows = 0};
}

std::vector<TextResult> results(std::span<Contestant> models, const TextSpec& text, Journal& journal) {
  const auto all = run_text(models, text, {journal, testing::test_pool(), nullptr, nullptr});
  EXPECT_TRUE(all) << (all ? "" : all.error().message);
  return all ? *all : std::vector<TextResult>{};
}

std::vector<TextResult> results(std::span<Contestant> models, const TextSpec& text) {
  Journal none;
  return results(models, text, none);
}

// All logits of the window that begins at `begin`, by the session alone.
std::vector<std::vector<float>> rows(Contestant& model, std::span<const TokenId> ids) {
  std::vector<std::vector<float>> all;
  model.session->rewind(0);
  EXPECT_TRUE(model.session->append(
      ids, [&](std::size_t, std::span<const float> l) { all.emplace_back(l.begin(), l.end()); }));
  return all;
}

TEST(Text, IsTheSumOverTokensThatItSaysItIs) {
  std::vector<Contestant> models;
  models.push_back(contestant("base", load(TinyModel(1)), true));
  models.push_back(contestant("other", load(TinyModel(2)), false));
  const TextSpec text = spec("second-half");
  const auto got = results(models, text);
  ASSERT_EQ(got.size(), 2U);

  const auto ids = models[0].model().tokenizer().encode(text.content);
  ASSERT_TRUE(ids);
  double nll[2] = {};
  double kl = 0;
  double same = 0;
  std::size_t scored = 0;
  for (std::size_t begin = 0; begin + 32 <= ids->size(); begin += 32) {
    const auto window = std::span(*ids).subspan(begin, 32);
    const auto p = rows(models[0], window);
    const auto q = rows(models[1], window);
    for (std::size_t at = 16; at < 31; ++at) {
      const auto target = static_cast<std::size_t>(window[at + 1]);
      nll[0] += kernels::reference_log_sum_exp(p[at].data(), p[at].size()) - p[at][target];
      nll[1] += kernels::reference_log_sum_exp(q[at].data(), q[at].size()) - q[at][target];
      kl += kernels::reference_divergence(p[at].data(), q[at].data(), p[at].size());
      const auto top = [](const std::vector<float>& row) {
        return std::max_element(row.begin(), row.end()) - row.begin();
      };
      same += top(p[at]) == top(q[at]) ? 1 : 0;
      ++scored;
    }
  }
  const auto n = static_cast<double>(scored);
  for (int m = 0; m < 2; ++m) {
    EXPECT_EQ(got[m].scored_tokens, scored);
    EXPECT_EQ(got[m].scored_bytes, scored);  // a byte for each token
    // Logits of a few units in float32, sums over 260 of them: 1e-5 is two hundred roundings.
    EXPECT_NEAR(got[m].nll.value, nll[m] / n, 1e-5);
    EXPECT_NEAR(got[m].perplexity.value, std::exp(nll[m] / n), 1e-5 * got[m].perplexity.value);
    EXPECT_NEAR(got[m].bits_per_byte.value, nll[m] / n / std::log(2.0), 2e-5);
  }
  EXPECT_FALSE(got[0].divergence);
  ASSERT_TRUE(got[1].divergence);
  EXPECT_NEAR(got[1].divergence->kl.value, kl / n, 1e-5);
  EXPECT_EQ(got[1].divergence->top1.value, same / n);
  EXPECT_NEAR(got[1].divergence->nll_change.value, (nll[1] - nll[0]) / n, 2e-5);
  std::size_t in_ranges = 0;
  for (const PositionRange& range : got[1].divergence->by_position) in_ranges += range.tokens;
  EXPECT_EQ(in_ranges, scored);
}

TEST(Text, AModelAgainstItselfDiffersNowhere) {
  const auto model = load(TinyModel(3));
  for (const char* protocol : {"second-half", "all", "strided"}) {
    std::vector<Contestant> models;
    models.push_back(contestant("base", model, true));
    models.push_back(contestant("same", model, false));
    const auto got = results(models, spec(protocol));
    ASSERT_EQ(got.size(), 2U);
    const Divergence& d = *got[1].divergence;
    EXPECT_EQ(d.kl.value, 0);
    EXPECT_EQ(d.kl_max, 0);
    EXPECT_EQ(d.top1.value, 1);
    EXPECT_EQ(d.top5.value, 1);
    EXPECT_EQ(d.p_change_rms, 0);
    EXPECT_EQ(d.nll_change.value, 0);
    EXPECT_EQ(got[0].perplexity.value, got[1].perplexity.value);
  }
}

// The gain of the last norm scales all logits: p is the baseline, q of a token goes with p's power c, so
// KL = (1 - c) E_p[x] - ln sum exp x + ln sum exp (c x).
TEST(Text, ScaledLogitsHaveTheClosedForm) {
  constexpr float kScale = 0.5F;  // a power of two: exact in every product
  TinyModel cooler(4);
  for (float& gain : cooler.tensors.at("model.norm.weight").values) gain *= kScale;
  std::vector<Contestant> models;
  models.push_back(contestant("base", load(TinyModel(4)), true));
  models.push_back(contestant("cooler", load(cooler), false));
  const TextSpec text = spec("all");
  const auto got = results(models, text);
  ASSERT_EQ(got.size(), 2U);

  const auto ids = models[0].model().tokenizer().encode(text.content);
  double kl = 0;
  std::size_t scored = 0;
  for (std::size_t begin = 0; begin + 32 <= ids->size(); begin += 32) {
    for (const auto& row : rows(models[0], std::span(*ids).subspan(begin, 31))) {
      std::vector<float> scaled = row;
      for (float& x : scaled) x *= kScale;
      const double log_sum = kernels::reference_log_sum_exp(row.data(), row.size());
      double mean = 0;
      for (const float x : row) mean += std::exp(x - log_sum) * x;
      kl += (1 - kScale) * mean - log_sum + kernels::reference_log_sum_exp(scaled.data(), scaled.size());
      ++scored;
    }
  }
  kl /= static_cast<double>(scored);
  EXPECT_GT(kl, 0.01);
  // The bound of the comparison with transformers; what is left are roundings of float32.
  EXPECT_NEAR(got[1].divergence->kl.value / kl, 1, 1e-4);
  EXPECT_EQ(got[1].divergence->top1.value, 1);
}

TEST(Text, BatchesChangeNothingThatMatters) {
  std::vector<TextResult> expected;
  for (const std::size_t batch : {64, 16, 7, 1}) {
    std::vector<Contestant> models;
    models.push_back(contestant("base", load(TinyModel(1)), true, batch));
    models.push_back(contestant("other", load(TinyModel(2)), false, batch));
    const auto got = results(models, spec("strided"));
    if (expected.empty()) expected = got;
    for (std::size_t m = 0; m < got.size(); ++m) {
      EXPECT_NEAR(got[m].nll.value, expected[m].nll.value, 1e-5) << batch;
    }
    EXPECT_NEAR(got[1].divergence->kl.value, expected[1].divergence->kl.value, 1e-5) << batch;
  }
}

// Every float sum of a session has a fixed order, and so has that of a row: threads change nothing at all.
TEST(Text, ThreadsChangeNoBit) {
  std::vector<TextResult> expected;
  for (const std::size_t threads : {1, 2, 3}) {
    runtime::ThreadPool pool(threads);
    std::vector<Contestant> models;
    for (const unsigned seed : {1U, 2U}) {
      Contestant c;
      c.name = fmt::format("model {}", seed);
      c.is_baseline = models.empty();
      auto session = runtime::Session::create(load(TinyModel(seed)),
                                              {.context = 64, .kv = kernels::KvType::f32, .batch = 15},
                                              testing::test_kernels(), pool);
      ASSERT_TRUE(session);
      c.session = *std::move(session);
      models.push_back(std::move(c));
    }
    Journal none;
    const auto got = run_text(models, spec("all"), {none, pool, nullptr, nullptr});
    ASSERT_TRUE(got) << got.error().message;
    if (expected.empty()) expected = *got;
    for (std::size_t m = 0; m < 2; ++m) EXPECT_EQ((*got)[m].nll.value, expected[m].nll.value) << threads;
    EXPECT_EQ((*got)[1].divergence->kl.value, expected[1].divergence->kl.value) << threads;
  }
}

TEST(Text, AResumedRunGivesTheSameNumbers) {
  const testing::TempDir directory;
  const std::string path = directory.file("journal.jsonl");
  const auto make = [] {
    std::vector<Contestant> models;
    models.push_back(contestant("base", load(TinyModel(1)), true));
    models.push_back(contestant("other", load(TinyModel(2)), false));
    return models;
  };
  auto models = make();
  const auto expected = results(models, spec("all"));
  {
    auto journal = Journal::open(path, false);
    ASSERT_TRUE(journal);
    std::size_t windows = 0;
    const auto cancelled = run_text(
        models, spec("all"), {*journal, testing::test_pool(), nullptr, [&] { return windows++ == 2; }});
    ASSERT_FALSE(cancelled);
    EXPECT_EQ(cancelled.error().message, "interrupted");
    EXPECT_EQ(journal->size(), 4U);  // two windows of two models
  }
  {  // a kill in the middle of a line
    std::FILE* file = std::fopen(path.c_str(), "a");
    std::fputs("{\"unit\":\"text 1", file);
    std::fclose(file);
  }
  auto journal = Journal::open(path, true);
  ASSERT_TRUE(journal);
  EXPECT_EQ(journal->size(), 4U);
  auto again = make();
  const auto got = results(again, spec("all"), *journal);
  EXPECT_EQ(journal->size(), 8U);
  for (std::size_t m = 0; m < 2; ++m) EXPECT_EQ(got[m].nll.value, expected[m].nll.value);
  EXPECT_EQ(got[1].divergence->kl.value, expected[1].divergence->kl.value);
  const auto other_settings = Journal::open(path, true, "another cache");
  ASSERT_TRUE(other_settings);
  EXPECT_EQ(other_settings->size(), 0U);
}

TEST(Text, ErrorsSayWhichModelAndWhatToDo) {
  TinyModel other_words(2);
  std::swap(other_words.tokenizer["model"]["vocab"]["a"], other_words.tokenizer["model"]["vocab"]["b"]);
  std::vector<Contestant> models;
  models.push_back(contestant("base", load(TinyModel(1)), true));
  models.push_back(contestant("other", load(other_words), false));
  Journal none;
  const Surroundings s{none, testing::test_pool(), nullptr, nullptr};
  EXPECT_THAT(run_text(models, spec("all"), s).error().message,
              HasSubstr("other: its tokenizer or vocabulary differs from that of the baseline base"));
  models[0].is_baseline = false;  // each by itself is all right
  EXPECT_EQ(results(models, spec("all")).size(), 2U);
  TextSpec brief = spec("all");
  brief.content = "too short";
  EXPECT_THAT(run_text(models, brief, s).error().message,
              HasSubstr("text 'sample', base: the text has 9 tokens, fewer than one window of 32"));

  TinyModel damaged(1);
  // Finite weights, which a conversion would accept, and logits that are not.
  for (float& gain : damaged.tensors.at("model.norm.weight").values) gain = 3e38F;
  for (float& x : damaged.tensors.at("model.embed_tokens.weight").values) x *= 100;
  std::vector<Contestant> broken;
  broken.push_back(contestant("broken", load(damaged), false));
  EXPECT_THAT(run_text(broken, spec("all"), s).error().message,
              HasSubstr("broken: the logits behind token 0"));
}

}  // namespace
}  // namespace sterna::eval
