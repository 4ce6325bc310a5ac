// Long texts in O(n log n). On an idle core each takes at most 1 s (1 MiB of spaces, Llama 3), loading Llama
// 3's tokenizer.json (9 MB, 280,147 merges) 0.2 s. The bound below is far above, for sanitizers and busy
// machines, and far below what anything quadratic would take (10^12 steps).
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "runtime/tokenizer/unicode.h"
#include "tests/tokenizer/small_tokenizer.h"

namespace sterna::testing {
namespace {

constexpr auto kBound = std::chrono::seconds(60);

class LongText : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const auto path = shared_data(GetParam());
    STERNA_NEEDS_SHARED(path);
    tokenizer_.emplace(must_create({read_file(path), {}, {}}));
  }
  void check(const std::string& text) {
    const auto start = std::chrono::steady_clock::now();
    const Ids ids = encode(*tokenizer_, text);
    const std::string decoded = tokenizer_->decode(ids, true);
    EXPECT_LT(std::chrono::steady_clock::now() - start, kBound);
    EXPECT_FALSE(ids.empty());
    EXPECT_TRUE(decode_stream(*tokenizer_, ids, true) == decoded);
  }
  std::optional<runtime::Tokenizer> tokenizer_;
};

constexpr std::size_t kMega = std::size_t{1} << 20U;

TEST_P(LongText, OneLetter) { check(std::string(kMega, 'a')); }
TEST_P(LongText, Spaces) { check(std::string(kMega, ' ')); }
TEST_P(LongText, NewLines) { check(std::string(kMega, '\n')); }
TEST_P(LongText, Digits) { check(std::string(kMega, '7')); }
TEST_P(LongText, InvalidBytes) { check(std::string(kMega, '\xFF')); }
TEST_P(LongText, CombiningMarks) {
  std::string text;
  while (text.size() < kMega) text += "\u0323\u0301";
  check(text);
}
TEST_P(LongText, Japanese) {
  const auto path = shared_data("text/wagahaiwa_nekodearu.txt");
  STERNA_NEEDS_SHARED(path);
  check(read_file(path));
}
TEST_P(LongText, NoSpaces) {
  const auto path = shared_data("text/tinystories_train_first1000.txt");
  STERNA_NEEDS_SHARED(path);
  std::string text = read_file(path);
  std::erase_if(text, [](char c) { return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z'); });
  check(text);
}

INSTANTIATE_TEST_SUITE_P(, LongText,
                         ::testing::Values("tokenizers/llama3_tokenizer.json",
                                           "tokenizers/llama2_tokenizer.json",
                                           "models/bitllama2c/tokenizer.json",
                                           "models/sterna-demo/tokenizer.json"),
                         [](const auto& test) { return fmt::format("tokenizer{}", test.index); });

}  // namespace
}  // namespace sterna::testing
