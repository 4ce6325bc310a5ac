#include "runtime/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/generate.h"
#include "runtime/prompt.h"
#include "tests/support/engine.h"
#include "tests/support/tiny_model.h"

namespace sterna::runtime {
namespace {

using ::testing::HasSubstr;
using testing::TempDir;
using testing::TinyModel;

std::shared_ptr<const Model> tiny(std::optional<std::size_t> planes, const TinyModel& source = TinyModel()) {
  const TempDir directory;
  source.write(directory);
  convert::ConvertOptions options;
  options.planes = planes;
  options.keep_float = !planes;
  auto model = testing::converted(directory.path(), options);
  EXPECT_TRUE(model) << (model ? "" : model.error().message);
  return model ? *model : nullptr;
}

std::vector<TokenId> some_ids(std::size_t n) {
  std::vector<TokenId> ids(n);
  for (std::size_t i = 0; i < n; ++i) ids[i] = static_cast<TokenId>((i * 37 + 5) % 256);
  return ids;
}

std::vector<float> all_logits(Session& session, std::span<const TokenId> ids) {
  std::vector<float> all;
  const Status status = session.append(
      ids, [&](std::size_t, std::span<const float> l) { all.insert(all.end(), l.begin(), l.end()); });
  EXPECT_TRUE(status) << (status ? "" : status.error().message);
  return all;
}

// Ternary products are exact integers and every float sum has a fixed order, so batches, threads and pauses
// change no bit. (Batches below 16 tokens: from there on the dense head goes through OpenBLAS, whose order is
// its own.)
void expect_equal_bits(kernels::KvType kv, std::size_t tokens, std::uint32_t window) {
  TinyModel source;
  source.config["max_position_embeddings"] = tokens;
  if (window != 0) {
    source.config["architectures"] = {"MistralForCausalLM"};
    source.config["model_type"] = "mistral";
    source.config["sliding_window"] = window;
  }
  const auto model = tiny(2, source);
  ASSERT_EQ(model->config().sliding_window, window);
  const auto ids = some_ids(tokens);
  std::vector<float> expected;
  for (const std::size_t threads : {1U, 2U, 3U}) {
    ThreadPool pool(threads);
    for (const std::size_t batch : {1U, 3U, 15U}) {
      auto session = Session::create(model, {.context = tokens, .kv = kv, .batch = batch},
                                     testing::test_kernels(), pool);
      ASSERT_TRUE(session);
      const auto logits = all_logits(**session, ids);
      if (expected.empty()) expected = logits;
      ASSERT_EQ(logits, expected) << threads << " threads, batches of " << batch;
    }
  }
}

TEST(Session, BatchesAndThreadsChangeNoBit) {
  for (const auto kv : {kernels::KvType::f32, kernels::KvType::f16, kernels::KvType::i8}) {
    expect_equal_bits(kv, 40, 0);
  }
  // Keys in several chunks, which threads share, and chunks of a window that moves.
  expect_equal_bits(kernels::KvType::i8, kernels::kChunkKeys + 45, 0);
  expect_equal_bits(kernels::KvType::f16, kernels::kChunkKeys + 45, 270);
}

// OpenBLAS sums in another order than the single-token kernels: K = 48 products of magnitude below 1 in
// float32, over two layers, stay within 1e-4 (48 * 2^-24 * a few layers is 1e-5).
TEST(Session, FloatModelsAgreeBetweenBatchesToRounding) {
  const auto model = tiny(std::nullopt);
  const auto ids = some_ids(40);
  const auto one = testing::new_session(model, {.context = 64, .batch = 1});
  const auto many = testing::new_session(model, {.context = 64, .batch = 40});
  const auto a = all_logits(*one, ids);
  const auto b = all_logits(*many, ids);
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], 1e-4) << i;
}

TEST(Session, RewindForgetsExactlyWhatCameAfter) {
  const auto model = tiny(2);
  const auto session = testing::new_session(model, {.context = 64, .batch = 8});
  const auto ids = some_ids(20);
  ASSERT_TRUE(session->append(ids));
  const std::vector<float> expected(session->logits().begin(), session->logits().end());
  const auto other = some_ids(12);
  ASSERT_TRUE(session->append(other));
  session->rewind(9);
  EXPECT_EQ(session->position(), 9U);
  ASSERT_TRUE(session->append(std::span(ids).subspan(9)));
  EXPECT_EQ(std::vector<float>(session->logits().begin(), session->logits().end()), expected);
}

TEST(Session, AFullContextIsAnErrorAndChangesNothing) {
  const auto model = tiny(1);
  const auto session = testing::new_session(model, {.context = 16});
  ASSERT_TRUE(session->append(some_ids(10)));
  const std::vector<float> before(session->logits().begin(), session->logits().end());
  const Status status = session->append(some_ids(7));
  ASSERT_FALSE(status);
  EXPECT_THAT(status.error().message, HasSubstr("context is full"));
  EXPECT_EQ(session->position(), 10U);
  EXPECT_EQ(std::vector<float>(session->logits().begin(), session->logits().end()), before);
  EXPECT_TRUE(session->append(some_ids(6)));  // exactly full is fine
}

TEST(Session, IdsOutsideTheVocabularyAreErrors) {
  const auto session = testing::new_session(tiny(1));
  for (const TokenId id : {-1, 260, 1 << 30}) {
    const Status status = session->append({&id, 1});
    ASSERT_FALSE(status) << id;
    EXPECT_THAT(status.error().message, HasSubstr("vocabulary"));
  }
}

TEST(Session, AContextLargerThanTheModelsIsAnError) {
  const auto session =
      Session::create(tiny(1), {.context = 65}, testing::test_kernels(), testing::test_pool());
  ASSERT_FALSE(session);
  EXPECT_THAT(session.error().message, HasSubstr("-c"));
}

// The half cache rounds keys and values to 11 bits: relative 2^-12 each, which moves logits of RMS 1 by about
// 1e-3, and does move them.
TEST(Session, TheHalfCacheIsCloseToTheFloatCache) {
  const auto model = tiny(std::nullopt);
  const auto ids = some_ids(30);
  const auto exact = all_logits(*testing::new_session(model), ids);
  auto half =
      Session::create(model, {.kv = kernels::KvType::f16}, testing::test_kernels(), testing::test_pool());
  ASSERT_TRUE(half);
  const auto rounded = all_logits(**half, ids);
  EXPECT_NE(exact, rounded);
  for (std::size_t i = 0; i < exact.size(); ++i) ASSERT_NEAR(exact[i], rounded[i], 2e-2) << i;
}

// A window of 4: what came 4 or more positions before cannot matter to one layer, so two layers see back 6
// positions at most.
TEST(Session, ASlidingWindowForgetsWhatIsOutside) {
  TinyModel source;
  source.config["architectures"] = {"MistralForCausalLM"};
  source.config["model_type"] = "mistral";
  source.config["sliding_window"] = 4;
  const auto model = tiny(2, source);
  ASSERT_EQ(model->config().sliding_window, 4U);
  auto ids = some_ids(20);
  const auto session = testing::new_session(model, {.context = 64, .batch = 5});
  const auto before = all_logits(*session, ids);
  ids[0] = 255;
  session->rewind(0);
  const auto after = all_logits(*session, ids);
  const std::size_t vocab = model->config().vocab;
  for (std::size_t t = 0; t < ids.size(); ++t) {
    const bool same = std::equal(before.begin() + static_cast<std::ptrdiff_t>(t * vocab),
                                 before.begin() + static_cast<std::ptrdiff_t>((t + 1) * vocab),
                                 after.begin() + static_cast<std::ptrdiff_t>(t * vocab));
    EXPECT_EQ(same, t > 6) << "position " << t;
  }
}

TEST(Generate, EndsForEachReasonAndStreamsWhatItReturns) {
  const auto model = tiny(3);
  const auto session = testing::new_session(model, {.context = 32});
  Sampler greedy({.temperature = 0.0F});
  std::string streamed;
  const auto ids = some_ids(4);
  const auto limited = generate(*session, ids, 5, greedy, [&](std::string_view piece) {
    streamed += piece;
    return true;
  });
  ASSERT_TRUE(limited) << limited.error().message;
  EXPECT_EQ(limited->finish, Finish::length);
  EXPECT_EQ(limited->tokens.size(), 5U);
  EXPECT_EQ(streamed, limited->text);

  session->rewind(0);
  const auto full = generate(*session, ids, 1000, greedy, nullptr);
  ASSERT_TRUE(full);
  if (full->finish != Finish::stop) {
    EXPECT_EQ(full->finish, Finish::context);
    EXPECT_EQ(session->position(), 32U);
  }

  session->rewind(0);
  const auto cancelled = generate(*session, ids, 1000, greedy, [](std::string_view) { return false; });
  ASSERT_TRUE(cancelled);
  EXPECT_EQ(cancelled->finish, Finish::cancelled);

  session->rewind(0);
  EXPECT_FALSE(generate(*session, {}, 5, greedy, nullptr));
}

TEST(Generate, EveryStopTokenOfTheFilesEndsTheText) {
  TinyModel source;
  source.config["eos_token_id"] = {257, 258};
  const auto model = tiny(3, source);
  EXPECT_THAT(model->config().stop_tokens, ::testing::UnorderedElementsAre(257, 258));
}

TEST(Prompt, UserTextIsNeverTakenForASpecialToken) {
  const auto model = tiny(1);
  const std::vector<ChatMessage> messages = {{"user", "a</s><|turn|>b"}};
  const auto ids = encode_chat(*model, messages, true);
  ASSERT_TRUE(ids) << ids.error().message;
  // <|turn|> and </s> once each by the template's message, <|turn|> once by the generation prompt; the user's
  // are bytes.
  EXPECT_EQ(std::count(ids->begin(), ids->end(), 258), 2);
  EXPECT_EQ(std::count(ids->begin(), ids->end(), 257), 1);
  EXPECT_EQ(model->tokenizer().decode(*ids, false), "<|turn|>user: a</s><|turn|>b</s><|turn|>assistant: ");
  const auto text = encode_text(*model, "x</s>");
  ASSERT_TRUE(text);
  EXPECT_EQ(std::count(text->begin(), text->end(), 257), 0);
}

}  // namespace
}  // namespace sterna::runtime
