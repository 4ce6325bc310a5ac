// Expected texts: Hugging Face tokenizers 0.23.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "runtime/tokenizer/unicode.h"
#include "tests/tokenizer/small_tokenizer.h"

namespace sterna::testing {
namespace {

// Decodes the given tokens at once and as a stream.
std::string decoded(const json& decoder, const std::vector<std::string>& tokens) {
  json pipeline = plain_tokenizer({});
  Ids ids;
  for (const auto& token : tokens) {
    if (!pipeline["model"]["vocab"].contains(token))
      pipeline["model"]["vocab"][token] = pipeline["model"]["vocab"].size();
    ids.push_back(pipeline["model"]["vocab"][token].get<int>());
  }
  pipeline["decoder"] = decoder;
  const auto tokenizer = from_json(pipeline);
  std::string text = tokenizer.decode(ids, false);
  EXPECT_EQ(decode_stream(tokenizer, ids, false), text);
  return text;
}

json sequence(const std::vector<json>& decoders) { return {{"type", "Sequence"}, {"decoders", decoders}}; }

const json kByteFallback = {{"type", "ByteFallback"}};
const json kFuse = {{"type", "Fuse"}};

TEST(Decoder, NoneJoinsWithSpaces) { EXPECT_EQ(decoded(nullptr, {"a", "b", "a"}), "a b a"); }

TEST(Decoder, ByteLevel) {
  const json byte_level = {{"type", "ByteLevel"}};
  EXPECT_EQ(decoded(byte_level, {"Hello", "Ġmy", "Ġã", "ģ", "Ĥ"}), "Hello my あ");
  EXPECT_EQ(decoded(byte_level, {"ã", "ģ", "a"}), "\uFFFDa");          // one for the part of a character
  EXPECT_EQ(decoded(byte_level, {"Ġã", "ģ"}), " \uFFFD");              // ... also at the end
  EXPECT_EQ(decoded(byte_level, {"日本", "Ġa Ġ", "Ġ"}), "日本Ġa Ġ ");  // no byte-level token: as it is
}

TEST(Decoder, ByteFallback) {
  EXPECT_EQ(decoded(kByteFallback, {"<0xE5>", "<0x8f>", "<0xAB>", "a"}), "叫a");
  EXPECT_EQ(decoded(kByteFallback, {"<0xE5>", "<0x8f>", "a"}), "\uFFFD\uFFFDa");
  // One byte too many spoils the whole run.
  EXPECT_EQ(decoded(kByteFallback, {"<0xE5>", "<0x8F>", "<0xAB>", "<0xFF>"}), "\uFFFD\uFFFD\uFFFD\uFFFD");
  EXPECT_EQ(decoded(kByteFallback, {"<0xG0>", "<0x123>", "0x41"}), "<0xG0><0x123>0x41");
}

TEST(Decoder, Strip) {
  const auto strip = [](int start, int stop) {
    return json{{"type", "Strip"}, {"content", "_"}, {"start", start}, {"stop", stop}};
  };
  EXPECT_EQ(decoded(strip(1, 0), {"__a", "_b_", "c"}), "_ab_c");
  EXPECT_EQ(decoded(strip(0, 1), {"a__", "_b_"}), "a__b");
  EXPECT_EQ(decoded(sequence({kFuse, strip(1, 0)}), {"_", "_a", "_b"}), "_a_b");
  EXPECT_EQ(decoded(sequence({kFuse, strip(2, 2)}), {"_", "_", "_", "a", "_", "b", "_", "_", "_"}), "_a_b_");
}

TEST(Decoder, Metaspace) {
  const auto metaspace = [](const char* scheme) {
    return json{{"type", "Metaspace"}, {"replacement", "▁"}, {"prepend_scheme", scheme}};
  };
  EXPECT_EQ(decoded(metaspace("always"), {"▁Hey", "▁my▁friend"}), "Hey my friend");
  EXPECT_EQ(decoded(metaspace("never"), {"▁Hey", "▁my"}), " Hey my");
  EXPECT_EQ(decoded(sequence({kFuse, metaspace("always")}), {"▁Hey", "▁my"}), "Heymy");
}

TEST(Decoder, TheChainOfLlama2) {
  const json chain = sequence({{{"type", "Replace"}, {"pattern", {{"String", "▁"}}}, {"content", " "}},
                               kByteFallback,
                               kFuse,
                               {{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}}});
  EXPECT_EQ(decoded(chain, {"▁Hello", "▁", "<0xF0>", "<0x9F>", "<0x98>", "<0x80>", "▁x"}), "Hello 😀 x");
  EXPECT_EQ(decoded(chain, {"▁", "▁", "a"}), " a");
}

TEST(Decoder, StepsThatNeedTheWholeTextWaitForIt) {
  const json chain =
      sequence({kFuse, {{"type", "Replace"}, {"pattern", {{"Regex", "a+"}}}, {"content", "x"}}});
  EXPECT_EQ(decoded(chain, {"a", "a", "b", "a"}), "xbx");
}

TEST(StreamDecoder, TextComesAsSoonAsItIsCertain) {
  const auto tokenizer = from_json(byte_tokenizer());
  runtime::StreamDecoder stream(tokenizer, false);
  EXPECT_EQ(stream.push('H'), "H");
  EXPECT_EQ(stream.push(0xE3), "");
  EXPECT_EQ(stream.push(0x81), "");
  EXPECT_EQ(stream.push(0x82), "あ");
  EXPECT_EQ(stream.push(0xF0), "");
  EXPECT_EQ(stream.push('!'), "\uFFFD!");
  EXPECT_EQ(stream.push(0xC3), "");
  EXPECT_EQ(stream.finish(), "\uFFFD");
  EXPECT_EQ(stream.push('N'), "N");  // as new
  EXPECT_EQ(stream.finish(), "");
}

TEST(StreamDecoder, OutlivesTheTokenizerItWasMadeFrom) {
  auto tokenizer = std::make_unique<runtime::Tokenizer>(from_json(byte_tokenizer()));
  runtime::StreamDecoder stream(*tokenizer, false);
  tokenizer.reset();
  runtime::StreamDecoder moved = std::move(stream);
  EXPECT_EQ(moved.push('a'), "a");
}

}  // namespace
}  // namespace sterna::testing
