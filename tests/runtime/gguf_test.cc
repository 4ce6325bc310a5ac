#include "runtime/gguf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "convert/gguf_writer.h"
#include "tests/support/shared_data.h"

namespace sterna::runtime {
namespace {

using ::testing::HasSubstr;

std::vector<std::byte> small_file() {
  convert::GgufHeader header;
  header.add("general.architecture", std::string_view("test"));
  header.add("a.number", std::uint32_t{7});
  header.add("a.double", 2.5);
  header.add("a.flag", true);
  const std::vector<std::string> words = {"雪", "", "b"};
  header.add("a.words", words);
  const std::vector<std::int32_t> ids = {-1, 2};
  header.add("a.ids", ids);
  const std::uint64_t shape[] = {4, 2};
  header.add_tensor("w", shape, ggml_id::f32, 0);
  const std::uint64_t blob[] = {5};
  header.add_tensor("blob", blob, ggml_id::i8, 32);
  auto bytes = header.serialize(32);
  bytes.resize(bytes.size() + 32 + 5);
  return bytes;
}

TEST(Gguf, ReadsWhatTheWriterWrote) {
  const auto bytes = small_file();
  const auto gguf = Gguf::parse(bytes, "small.gguf");
  ASSERT_TRUE(gguf) << gguf.error().message;
  EXPECT_EQ(gguf->find("a.number")->as_uint(), 7U);
  EXPECT_EQ(gguf->find("a.double")->as_float(), 2.5);
  EXPECT_EQ(gguf->find("a.flag")->as_bool(), true);
  EXPECT_EQ(gguf->find("a.words")->as_strings(), (std::vector<std::string_view>{"雪", "", "b"}));
  EXPECT_EQ(gguf->find("a.ids")->as_floats(), (std::vector<double>{-1, 2}));
  EXPECT_EQ(gguf->find("missing"), nullptr);
  ASSERT_NE(gguf->tensor("w"), nullptr);
  EXPECT_EQ(gguf->data(*gguf->tensor("w")).size(), 32U);
  EXPECT_EQ(gguf->data(*gguf->tensor("blob")).size(), 5U);
  EXPECT_EQ(gguf->tensor("blob")->offset % 32, 0U);
}

TEST(Gguf, EveryTruncationIsAnErrorThatNamesTheFile) {
  const auto bytes = small_file();
  for (std::size_t n = 0; n < bytes.size(); ++n) {
    const auto gguf = Gguf::parse(std::span(bytes).first(n), "cut.gguf");
    ASSERT_FALSE(gguf) << n;
    ASSERT_THAT(gguf.error().message, HasSubstr("cut.gguf"));
    ASSERT_EQ(gguf.error().message.find('\n'), std::string::npos);
  }
}

// Its data would begin behind the end of the file, and no byte is missing: found by the fuzzer.
TEST(Gguf, AnEmptyTensorIsRefusedWhereTheFileEndsWithItsHeader) {
  convert::GgufHeader header;
  header.add("general.architecture", std::string_view("test"));
  const std::uint64_t shape[] = {0};
  header.add_tensor("empty", shape, ggml_id::i8, 0);
  auto bytes = header.serialize(32);
  while (bytes.back() == std::byte{0}) bytes.pop_back();  // the padding, the offset, three bytes of the type
  bytes.resize(bytes.size() + 3 + sizeof(std::uint64_t));
  ASSERT_NE(bytes.size() % 32, 0U);
  const auto gguf = Gguf::parse(bytes, "short.gguf");
  ASSERT_FALSE(gguf);
  EXPECT_THAT(gguf.error().message, HasSubstr("short.gguf: the file ends with its header"));
}

// Under the address sanitizer: whatever the bytes say, reading stays inside them. Values are read, too,
// because arrays are decoded only then.
TEST(Gguf, MutationsNeverReadOutside) {
  const auto original = small_file();
  std::mt19937 random(7);
  std::size_t accepted = 0;
  for (int round = 0; round < 20000; ++round) {
    auto bytes = original;
    for (auto n = 1 + random() % 3; n > 0; --n)
      bytes[random() % bytes.size()] = static_cast<std::byte>(random());
    const auto gguf = Gguf::parse(bytes, "mutated");
    if (!gguf) continue;
    ++accepted;
    for (const auto& [key, value] : gguf->keys()) {
      static_cast<void>(value.as_strings().size() + value.as_floats().size());
    }
    for (const GgufTensor& t : gguf->tensors()) EXPECT_EQ(gguf->data(t).size(), t.bytes);
  }
  EXPECT_GT(accepted, 0U);  // flips in names and data are harmless to the container
}

void put_u64(std::vector<std::byte>& bytes, std::size_t at, std::uint64_t value) {
  for (std::size_t i = 0; i < 8; ++i) bytes[at + i] = static_cast<std::byte>(value >> (8 * i));
}

TEST(Gguf, HugeCountsAreRefusedWithoutAllocating) {
  for (const std::size_t field : {8U, 16U}) {  // tensors, keys
    auto bytes = small_file();
    put_u64(bytes, field, 1ULL << 60);
    EXPECT_FALSE(Gguf::parse(bytes, "huge"));
  }
}

TEST(Gguf, OtherFormatsAreNamed) {
  std::vector<std::byte> bytes(64, std::byte{0x50});
  const auto gguf = Gguf::parse(bytes, "picture.png");
  ASSERT_FALSE(gguf);
  EXPECT_THAT(gguf.error().message, HasSubstr("is not a GGUF file"));
}

TEST(Gguf, DuplicateNamesAndOverlapsAreErrors) {
  convert::GgufHeader twice;
  twice.add("k", true);
  twice.add("k", true);
  EXPECT_THAT(Gguf::parse(twice.serialize(32), "f").error().message, HasSubstr("'k' occurs twice"));
  convert::GgufHeader overlap;
  const std::uint64_t shape[] = {64};
  overlap.add_tensor("a", shape, ggml_id::f32, 0);
  overlap.add_tensor("b", shape, ggml_id::f32, 32);
  auto bytes = overlap.serialize(32);
  bytes.resize(bytes.size() + 512);
  EXPECT_THAT(Gguf::parse(bytes, "f").error().message, HasSubstr("overlaps"));
}

// Files of llama.cpp's own making.
TEST(Gguf, ReadsFilesOfOtherProducers) {
  const auto path = testing::shared_data("tokenizers/ggml-vocab-gpt-2.gguf");
  STERNA_NEEDS_SHARED(path);
  const std::string text = testing::read_file(path);
  const auto gguf = Gguf::parse(std::as_bytes(std::span(text)), path.string());
  ASSERT_TRUE(gguf) << gguf.error().message;
  EXPECT_EQ(gguf->find("tokenizer.ggml.model")->as_string(), "gpt2");
  EXPECT_EQ(gguf->find("tokenizer.ggml.tokens")->as_strings().size(), 50257U);
}

}  // namespace
}  // namespace sterna::runtime
