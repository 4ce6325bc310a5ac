#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "eval/tasks/score.h"
#include "kernels/divergence/reference.h"
#include "tests/eval/tiny_session.h"

namespace sterna::eval {
namespace {

using runtime::Session;
using runtime::TokenId;
using ::testing::HasSubstr;
using testing::tiny_session;
using testing::TinyModel;

constexpr TokenId kBos = 256;

std::vector<TokenId> bytes_of(std::string_view text) {
  std::vector<TokenId> ids;
  for (const char c : text) ids.push_back(static_cast<unsigned char>(c));
  return ids;
}

Request request_of(const Session& session, std::string_view context, std::string_view continuation) {
  auto request = encode_request(session.model(), context, continuation, session.context());
  EXPECT_TRUE(request) << (request ? "" : request.error().message);
  return request ? *request : Request{};
}

TinyModel with_bos_frame() {
  TinyModel model;
  model.tokenizer["post_processor"] = {
      {"type", "TemplateProcessing"},
      {"single",
       {{{"SpecialToken", {{"id", "<s>"}, {"type_id", 0}}}}, {{"Sequence", {{"id", "A"}, {"type_id", 0}}}}}},
      {"pair",
       {{{"Sequence", {{"id", "A"}, {"type_id", 0}}}}, {{"Sequence", {{"id", "B"}, {"type_id", 1}}}}}},
      {"special_tokens", {{"<s>", {{"id", "<s>"}, {"ids", {kBos}}, {"tokens", {"<s>"}}}}}}};
  return model;
}

TEST(EncodeRequest, SpacesAtTheEndOfTheContextAreScored) {
  const auto session = tiny_session();
  const Request request = request_of(*session, "ab \n", "c");
  EXPECT_EQ(request.input, bytes_of("ab \n"));
  EXPECT_EQ(request.target, bytes_of(" \nc"));
  EXPECT_FALSE(request.truncated);
}

TEST(EncodeRequest, AnEmptyContextIsBos) {
  for (const char* context : {"", "  "}) {
    const auto session = tiny_session();
    const Request request = request_of(*session, context, "cd");
    const std::string scored = std::string(context) + "cd";
    EXPECT_EQ(request.target, bytes_of(scored));
    EXPECT_EQ(request.input.front(), kBos);
    EXPECT_EQ(request.input.size(), request.target.size());
  }
}

TEST(EncodeRequest, TheTokenizersFrameStandsInFrontOnce) {
  const auto session = tiny_session(with_bos_frame());
  for (const char* context : {"ab", "<s>ab"}) {
    const Request request = request_of(*session, context, "cd");
    EXPECT_EQ(request.target, bytes_of("cd"));
    EXPECT_EQ(request.input, (std::vector<TokenId>{kBos, 'a', 'b', 'c'})) << context;
  }
  EXPECT_EQ(request_of(*session, "", "cd").input, (std::vector<TokenId>{kBos, 'c'}));
}

TEST(EncodeRequest, TheBeginningIsCutToFit) {
  const auto session = tiny_session(TinyModel(), 8);
  EXPECT_FALSE(request_of(*session, "abcdef", "123").truncated);  // 9 tokens, of which the last is not read
  const Request request = request_of(*session, "abcdefg", "123");
  EXPECT_TRUE(request.truncated);
  EXPECT_EQ(request.input, bytes_of("bcdefg12"));
  EXPECT_EQ(request.target, bytes_of("123"));
  EXPECT_EQ(request_of(*session, "abc", "12345678").input, bytes_of("c1234567"));
  const auto too_long = encode_request(session->model(), "abc", "123456789", 8);
  ASSERT_FALSE(too_long);
  EXPECT_THAT(too_long.error().message,
              HasSubstr("a continuation of 9 tokens does not fit into a context of 8"));
  const auto nothing = encode_request(session->model(), "abc", "", 8);
  ASSERT_FALSE(nothing);
  EXPECT_THAT(nothing.error().message, HasSubstr("adds no token"));
}

// The plain way: the whole text through the model, every token of the continuation looked up.
double log_likelihood(Session& session, const std::string& context, const std::string& continuation) {
  const Request request = request_of(session, context, continuation);
  const std::size_t start = request.input.size() - request.target.size();
  double sum = 0;
  session.rewind(0);
  EXPECT_TRUE(session.append(request.input, [&](std::size_t i, std::span<const float> logits) {
    if (i >= start)
      sum += logits[static_cast<std::size_t>(request.target[i - start])] -
             kernels::reference_log_sum_exp(logits.data(), logits.size());
  }));
  return sum;
}

Task task_with(std::vector<Item> items, std::vector<std::string> prefixes = {""}) {
  Task task;
  task.name = "own";
  task.items = std::move(items);
  task.prefixes = std::move(prefixes);
  return task;
}

Item item_with(std::vector<std::string> contexts, std::vector<std::string> continuations) {
  Item item;
  item.contexts = std::move(contexts);
  item.continuations = std::move(continuations);
  return item;
}

ItemScore score_of(Scorer& scorer, const Task& task, std::size_t item) {
  auto score = scorer.score(task, task.items[item]);
  EXPECT_TRUE(score) << (score ? "" : score.error().message);
  return score ? *score : ItemScore{};
}

// A ternary model's bits do not depend on how a text was cut into appends; the two sums over the vocabulary
// are the same operations in the same order, but minus a number and plus its negative may differ in the last
// bit of a double.
void expect_plain_scores(const Task& task) {
  const auto session = tiny_session();
  const auto plain = tiny_session();
  Scorer scorer(*session);
  for (std::size_t i = 0; i < task.items.size(); ++i) {
    const Item& item = task.items[i];
    const ItemScore score = score_of(scorer, task, i);
    for (std::size_t c = 0; c < score.log_likelihoods.size(); ++c) {
      const double want =
          log_likelihood(*plain, task.prefixes[item.prefix] + item.context(c), item.continuation(c));
      EXPECT_NEAR(score.log_likelihoods[c], want, 1e-12 * std::abs(want)) << "item " << i << " choice " << c;
    }
  }
}

TEST(Scorer, ChoicesWithACommonContextScoreAsIfAlone) {
  expect_plain_scores(task_with({
      item_with({"A man sits."}, {" he", " he sings", " the end", " x"}),
      item_with({"Answer:"}, {" A", " B", " C"}),                     // one pass for all
      item_with({"q"}, {" same", " same", " other", " same words"}),  // equal ones, and one that goes on
  }));
}

TEST(Scorer, ChoicesInTheMiddleOfTheTextScoreAsIfAlone) {
  expect_plain_scores(task_with({
      item_with({"The cup is in the box", "The cup is in the bag"}, {" so it fits"}),
      item_with({"box", "a bag"}, {" is here"}),  // nothing in common
      item_with({""}, {" alone", " al"}),
  }));
}

TEST(Scorer, SharedExamplesChangeNoNumber) {
  Item first = item_with({"Why?"}, {" so", " no"});
  Item second = item_with({"When?"}, {" now", " then"});
  Item third = item_with({"Why not?"}, {" so", " no"});
  first.prefix = second.prefix = 1;
  third.prefix = 2;
  Item fourth = second;
  const Task task =
      task_with({first, second, third, fourth}, {"", "Who? me\n\nWhat? it\n\n", "Who? you\n\n"});
  expect_plain_scores(task);
}

TEST(Scorer, AnItemsNumbersDoNotDependOnTheItemsBefore) {
  Item first = item_with({"Why?"}, {" so", " no"});
  Item second = item_with({"\nWhen?"}, {" now", " then"});
  const Task task = task_with({first, second, first}, {"What? it\n\n"});
  const auto session = tiny_session();
  Scorer scorer(*session);
  const ItemScore alone = score_of(scorer, task, 0);
  score_of(scorer, task, 1);
  EXPECT_EQ(score_of(scorer, task, 2).log_likelihoods, alone.log_likelihoods);
}

// What the model says after a text, three tokens.
std::string greedy_text(Session& session, const std::string& context) {
  std::string said;
  session.rewind(0);
  EXPECT_TRUE(session.append(bytes_of(context)));
  for (int i = 0; i < 3; ++i) {
    const auto logits = session.logits();
    const auto best = static_cast<TokenId>(std::max_element(logits.begin(), logits.end()) - logits.begin());
    said += static_cast<char>(best);
    EXPECT_TRUE(session.append(std::span(&best, 1)));
  }
  return said;
}

TEST(Scorer, GreedyMeansThatEveryTokenWasTheMostLikelyOne) {
  const auto session = tiny_session();
  const auto letter = [](char c) { return c > ' ' && c < 0x7E; };
  std::string context;
  std::string said;
  for (char c = '!'; c < 0x7E && context.empty(); ++c) {  // a random model mostly says what is no text
    said = greedy_text(*session, {'a', c});
    if (std::all_of(said.begin(), said.end(), letter)) context = {'a', c};
  }
  ASSERT_FALSE(context.empty()) << "choose another seed";
  std::string other = said;
  ++other.back();
  const Task task = task_with({item_with({context}, {said, other, said.substr(0, 2)})});
  Scorer scorer(*session);
  EXPECT_THAT(score_of(scorer, task, 0).greedy, ::testing::ElementsAre(1, 0, 1));
}

TEST(Scorer, TruncationIsTold) {
  const auto session = tiny_session(TinyModel(), 12);
  Scorer scorer(*session);
  const Task task =
      task_with({item_with({"short"}, {" a", " b"}), item_with({"as long as this"}, {" a", " bc"}),
                 item_with({"abc"}, {" far more than twelve"})});
  EXPECT_FALSE(score_of(scorer, task, 0).truncated);
  EXPECT_TRUE(score_of(scorer, task, 1).truncated);
  const auto too_long = scorer.score(task, task.items[2]);
  ASSERT_FALSE(too_long);
  EXPECT_THAT(too_long.error().message, HasSubstr("own: item 3: a continuation of 21 tokens"));
}

}  // namespace
}  // namespace sterna::eval
