// The tokenizer that comes with the repository; expected ids: Hugging Face tokenizers 0.23.
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "tests/tokenizer/small_tokenizer.h"

namespace sterna::testing {
namespace {

constexpr runtime::Tokenizer::EncodeOptions kPlain{false, false};
constexpr runtime::Tokenizer::EncodeOptions kParsed{true, true};

std::string demo_json() {
  return read_file(std::filesystem::path(STERNA_SOURCE_DIR) / "models" / "demo" / "tokenizer.json");
}

class Demo : public ::testing::Test {
 protected:
  runtime::Tokenizer tokenizer_ = must_create({demo_json(), {}, {}});
};

TEST_F(Demo, EncodesAsHuggingFace) {
  EXPECT_EQ(encode(tokenizer_, "Once upon a time, there was a little girl."),
            (Ids{4093, 1407, 539, 258, 427, 44, 421, 305, 258, 448, 565, 46}));
  EXPECT_EQ(encode(tokenizer_, "I'll  pay 12345\n\n  yen! 😀", kPlain),
            (Ids{73, 797, 32, 2195, 32, 2814, 51, 52, 53, 10, 10, 32, 300, 304, 33, 32, 240, 159, 152, 128}));
  EXPECT_EQ(encode(tokenizer_, "e\u0301\t\u00a0x", kPlain), (Ids{101, 204, 129, 9, 194, 160, 120}));
  EXPECT_EQ(encode(tokenizer_, "<|begin_of_text|>Hi<|eot_id|>", kParsed), (Ids{4093, 4093, 1711, 4095}));
  EXPECT_EQ(encode(tokenizer_, ""), (Ids{4093}));
  EXPECT_EQ(encode(tokenizer_, "", kPlain), Ids{});
}

TEST_F(Demo, InvalidUtf8IsReadAsReplacementCharacters) {
  EXPECT_EQ(encode(tokenizer_,
                   "a\xFF\xE3\x81"
                   "b",
                   kPlain),
            (Ids{97, 239, 191, 189, 239, 191, 189, 98}));
}

TEST_F(Demo, DecodesWhatItEncoded) {
  for (const std::string text :
       {"Once upon a time, there was a little girl.", "吾輩は猫である。名前はまだ無い。", " \t\r\n\u3000 x ",
        "<|eot_id|>", "👩‍👩‍👧‍👦e\u0301ﬁ\u0001\x7F", "fn main() {\n    let x = 3;\n}\n"}) {
    const Ids ids = encode(tokenizer_, text);
    EXPECT_EQ(tokenizer_.decode(ids, true), text);
    EXPECT_EQ(decode_stream(tokenizer_, ids, true), text);
    EXPECT_EQ(tokenizer_.decode(ids, false), "<|begin_of_text|>" + text);
  }
}

TEST_F(Demo, SplittingLosesNothing) {
  const auto spec = runtime::split_spec(demo_json(), "tokenizer.json");
  ASSERT_TRUE(spec.ok()) << spec.error().message;
  EXPECT_EQ(spec->tokens.size(), 4096U);
  EXPECT_EQ(spec->tokens[4093], "<|begin_of_text|>");
  EXPECT_EQ(spec->merges.at(0), "Ġ t");
  EXPECT_LT(spec->pipeline.size(), 10'000U);
  const auto other = must_create(*spec);
  const std::string text = "It was <|eot_id|> 12 o'clock; 猫 slept.";
  EXPECT_EQ(encode(other, text, kParsed), encode(tokenizer_, text, kParsed));
  EXPECT_EQ(encode(other, text), encode(tokenizer_, text));
  for (runtime::TokenId id = 0; id < 4096; ++id) ASSERT_EQ(other.token(id), tokenizer_.token(id));
}

TEST_F(Demo, WorksWithoutJit) {
  const auto interpreted = must_create({demo_json(), {}, {}}, {.jit = false});
  const std::string text = "She said: \"I'VE got 1234567 things\"...\n\n   And ÜBER möglich、日本語も。";
  EXPECT_EQ(encode(interpreted, text), encode(tokenizer_, text));
}

TEST_F(Demo, ThreadsShareOneTokenizer) {
  const std::string text = "The quick brown fox couldn't jump over 12 lazy dogs. ";
  const Ids expected = encode(tokenizer_, text);
  std::vector<int> failures(4, 0);
  std::vector<std::thread> threads;
  threads.reserve(failures.size());
  for (int& failed : failures) {
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) {
        const auto ids = tokenizer_.encode(text);
        if (!ids || *ids != expected || tokenizer_.decode(*ids, true) != text) ++failed;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(failures, std::vector<int>(4, 0));
}

}  // namespace
}  // namespace sterna::testing
