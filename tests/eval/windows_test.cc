#include "eval/text/windows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/prompt.h"
#include "tests/support/engine.h"
#include "tests/support/tiny_model.h"

namespace sterna::eval {
namespace {

using ::testing::HasSubstr;

std::vector<Window> windows_of(std::size_t tokens, const Protocol& protocol) {
  const auto windows = cut(tokens, protocol);
  EXPECT_TRUE(windows) << (windows ? "" : windows.error().message);
  return windows ? *windows : std::vector<Window>{};
}

std::size_t scored(const std::vector<Window>& windows) {
  std::size_t n = 0;
  for (const Window& w : windows) n += w.count - w.first_scored;
  return n;
}

TEST(Windows, SecondHalfIsLlamaPerplexitys) {
  // There, of 512 tokens, the logits of positions 256..510 are scored.
  const auto windows = windows_of(1100, {.name = "second-half", .window = 512});
  ASSERT_EQ(windows.size(), 2U);
  EXPECT_EQ(windows[1].begin, 512U);
  EXPECT_EQ(windows[1].first_scored, 257U);
  EXPECT_EQ(scored(windows), 2 * 255U);
}

TEST(Windows, AllScoresEveryTokenButTheFirst) {
  const auto windows = windows_of(1100, {.name = "all", .window = 512});
  EXPECT_EQ(scored(windows), 2 * 511U);
}

// The loop of the documentation, with its names.
TEST(Windows, StridedIsThatOfTheTransformersDocumentation) {
  for (const std::size_t seq_len : {2, 5, 64, 65, 100, 1000}) {
    for (const std::size_t max_length : {8, 64}) {
      for (const std::size_t stride : {1, 5, 7}) {
        const auto windows = windows_of(seq_len, {.name = "strided", .window = max_length, .stride = stride});
        std::size_t prev_end_loc = 0;
        std::size_t at = 0;
        for (std::size_t begin_loc = 0; begin_loc < seq_len; begin_loc += stride) {
          const std::size_t end_loc = std::min(begin_loc + max_length, seq_len);
          const std::size_t trg_len = end_loc - prev_end_loc;
          ASSERT_LT(at, windows.size());
          EXPECT_EQ(windows[at].begin, begin_loc);
          EXPECT_EQ(windows[at].count, end_loc - begin_loc);
          // The labels before are masked, and the first token of a window has none.
          EXPECT_EQ(windows[at].first_scored, std::max<std::size_t>(1, windows[at].count - trg_len));
          ++at;
          prev_end_loc = end_loc;
          if (end_loc == seq_len) break;
        }
        EXPECT_EQ(at, windows.size());
        EXPECT_EQ(scored(windows), seq_len - 1);
      }
    }
  }
}

TEST(Windows, ErrorsSayWhatToDo) {
  EXPECT_THAT(cut(511, {.name = "all", .window = 512}).error().message,
              HasSubstr("511 tokens, fewer than one window of 512"));
  EXPECT_THAT(cut(1000, {.name = "all", .window = 3}).error().message, HasSubstr("at least 4"));
  EXPECT_THAT(cut(1000, {.name = "strided", .window = 64, .stride = 64}).error().message,
              HasSubstr("from 1 to 63"));
  EXPECT_THAT(cut(1000, {.name = "strided", .window = 64}).error().message, HasSubstr("stride of 0"));
  EXPECT_FALSE(cut(1, {.name = "strided", .window = 64, .stride = 32}));
}

TEST(Windows, BytesAreCountedWhereCharactersAreWhole) {
  const testing::TempDir directory;
  testing::TinyModel().write(directory);
  const auto model = convert::load_model(directory.path(), {}, testing::test_pool());
  ASSERT_TRUE(model);
  const auto ids = (*model)->tokenizer().encode("aé猫");  // a token for each of 1 + 2 + 3 bytes
  ASSERT_TRUE(ids);
  EXPECT_EQ(byte_offsets((*model)->tokenizer(), *ids), (std::vector<std::size_t>{0, 1, 1, 3, 3, 3, 6}));
  EXPECT_EQ(runtime::beginning_of_text((*model)->tokenizer()), std::nullopt);
}

}  // namespace
}  // namespace sterna::eval
