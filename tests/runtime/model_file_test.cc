// The model file as a reader meets it: descriptors, checksums, versions, damage.
#include "runtime/model_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <random>

#include "convert/model_header.h"
#include "runtime/verify.h"
#include "tests/support/engine.h"
#include "tests/support/shared_data.h"
#include "tests/support/tiny_model.h"

namespace sterna::runtime {
namespace {

using ::testing::HasSubstr;
using testing::TempDir;
using testing::TinyModel;

std::string tiny_file(const TempDir& directory, std::optional<std::size_t> planes = 2) {
  TinyModel().write(directory);
  convert::ConvertOptions options;
  options.planes = planes;
  const auto report = testing::convert_to(directory.path(), directory.file("tiny.gguf"), options);
  EXPECT_TRUE(report) << (report ? "" : report.error().message);
  return directory.file("tiny.gguf");
}

Result<std::shared_ptr<const Model>> load(const std::string& path, bool verify = true, bool map = true) {
  return load_model_file(path, {map, verify}, testing::test_pool());
}

TEST(Descriptor, RoundTripsAndRefusesWhatItDoesNotKnow) {
  TensorDescriptor d{"blk.0.attn_q.weight",   2560,       6912, Layout::trit2, 3, 128,
                     kernels::ScaleType::f16, 0xFFFFFFFFU};
  const auto parsed = parse_descriptor(to_json(d), "f");
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(to_json(*parsed), to_json(d));
  // 160 row blocks of 432 tiles with 3 planes of 64 bytes; 160 x 54 groups x 16 rows of 2-byte scales.
  EXPECT_EQ(d.bytes(), 160U * 432 * 3 * 64 + 160U * 54 * 16 * 2);

  const auto refused = [&](std::string line, const char* why) {
    const auto result = parse_descriptor(line, "f");
    ASSERT_FALSE(result) << line;
    EXPECT_THAT(result.error().message, HasSubstr(why));
  };
  std::string line = to_json(d);
  line.insert(1, R"("requires":["permutation"],)");
  refused(line, R"(needs ["permutation"], which this version does not know)");
  refused(R"({"name":"w","rows":1,"columns":4,"layout":"trit-base3","crc32":0})", "trit-base3");
  refused(R"({"name":"w","rows":0,"columns":4,"layout":"f32","crc32":0})", "rows");
  refused(R"({"name":"w","rows":1,"columns":99999999999,"layout":"f32","crc32":0})", "columns");
  refused(
      R"({"name":"w","rows":1,"columns":4,"layout":"trit2-16x16","planes":4,"group":0,"scale":"f32","crc32":0})",
      "planes");
  refused(
      R"({"name":"w","rows":1,"columns":4,"layout":"trit2-16x16","planes":1,"group":64,"scale":"f32","crc32":0})",
      "groups");
  refused(
      R"({"name":"w","rows":1,"columns":4,"layout":"pairs-16x16","planes":3,"group":0,"scale":"f32","crc32":0})",
      "has 2 planes");
  refused(
      R"({"name":"w","rows":1,"columns":4,"layout":"base3-16x20","planes":1,"group":128,"scale":"f32","crc32":0})",
      "single scale");
  refused("[]", "not a JSON object");
}

TensorDescriptor rotated_descriptor() {
  TensorDescriptor d{"blk.0.ffn_down.weight", 2560, 6912, Layout::trit2};
  d.rotation_block = 256;
  d.rotation_seed = 0xFFFFFFFFU;
  return d;
}

TEST(Descriptor, RotationsRoundTrip) {
  const TensorDescriptor d = rotated_descriptor();
  EXPECT_THAT(to_json(d),
              HasSubstr(R"("rotation":{"block":256,"seed":4294967295},"requires":["rotation"],"crc32")"));
  const auto parsed = parse_descriptor(to_json(d), "f");
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->rotation_block, 256U);
  EXPECT_EQ(parsed->rotation_seed, 0xFFFFFFFFU);
  EXPECT_EQ(parsed->bytes(), d.bytes());
}

TEST(Descriptor, RotationsThatMakeNoSenseAreRefused) {
  const auto refused = [](const std::string& part, const std::string& instead, const char* why) {
    std::string line = to_json(rotated_descriptor());
    const std::size_t at = line.find(part);
    ASSERT_NE(at, std::string::npos) << part;
    const auto result = parse_descriptor(line.replace(at, part.size(), instead), "f");
    ASSERT_FALSE(result) << line;
    EXPECT_THAT(result.error().message, HasSubstr(why)) << line;
    EXPECT_THAT(result.error().message, HasSubstr("blk.0.ffn_down.weight"));
  };
  refused(R"(,"requires":["rotation"])", "", "stand together");
  refused(R"(,"requires":["rotation"])", R"(,"requires":[])", "stand together");
  refused(R"("rotation":{"block":256,"seed":4294967295},)", "", "stand together");
  refused(R"(["rotation"])", R"(["rotation","permutation"])", R"(needs ["permutation"])");
  refused(R"(["rotation"])", R"("rotation")", R"(needs "rotation")");
  refused(R"({"block":256,"seed":4294967295})", "7", "not an object");
  refused(R"("block":256,)", "", "'block' is missing");
  refused(R"(,"seed":4294967295)", "", "'seed' is missing");
  refused("4294967295", "4294967296", "'seed' is");
  refused("4294967295", "-1", "'seed' is");
  for (const char* block : {"0", "1", "2097152"})
    refused(R"("block":256)", fmt::format(R"("block":{})", block), "'block' is");
  for (const char* block : {"3", "216", "512"})
    refused(R"("block":256)", fmt::format(R"("block":{})", block), "power of two that divides the 6912");
  refused(R"("layout":"trit2-16x16")", R"("layout":"f16")", "only ternary ones");
}

// The header's size must be known before the tensors are, so no descriptor may be longer than its place.
TEST(Descriptor, TheLongestOneFitsItsPlace) {
  std::size_t longest = 0;
  for (int role = 0; role <= static_cast<int>(Role::down); ++role) {
    for (const Part part : {Part::weight, Part::bias, Part::norm}) {
      TensorDescriptor d;
      d.name = tensor_name(static_cast<Role>(role), part, 4095);  // of at most 4096 layers
      d.rows = 1U << 24;
      d.columns = kernels::kMaxColumns;
      d.layout = Layout::triples;
      d.planes = 3;
      d.group = 128;
      d.rotation_block = kernels::kMaxColumns;
      d.rotation_seed = d.crc32 = 0xFFFFFFFFU;
      longest = std::max(longest, to_json(d).size());
    }
  }
  EXPECT_LE(longest, convert::kDescriptorLength);
  EXPECT_GT(longest, 192U) << "the place could be smaller";
}

TEST(ModelFile, MappedAndReadFilesGiveTheSameLogits) {
  const TempDir directory;
  const std::string path = tiny_file(directory);
  std::vector<std::vector<float>> logits;
  for (const bool map : {true, false}) {
    const auto model = load(path, true, map);
    ASSERT_TRUE(model) << model.error().message;
    const auto session = testing::new_session(*model);
    const TokenId ids[] = {256, 72, 105};
    ASSERT_TRUE(session->append(ids));
    logits.emplace_back(session->logits().begin(), session->logits().end());
  }
  EXPECT_EQ(logits[0], logits[1]);
}

TEST(ModelFile, TensorsAre64ByteAligned) {
  const TempDir directory;
  const std::string text = testing::read_file(tiny_file(directory));
  const auto gguf = Gguf::parse(std::as_bytes(std::span(text)), "tiny");
  ASSERT_TRUE(gguf);
  for (const GgufTensor& t : gguf->tensors()) EXPECT_EQ(t.offset % 64, 0U) << t.name;
}

// One flipped bit anywhere in the file: in the metadata it breaks the header's checksum (or the container),
// in a tensor the tensor's own; only the padding between tensors, 63 bytes at most each, belongs to neither.
TEST(ModelFile, EveryFlippedBitIsNoticed) {
  const TempDir directory;
  const std::string path = tiny_file(directory);
  const std::string original = testing::read_file(path);
  const auto gguf = Gguf::parse(std::as_bytes(std::span(original)), "tiny");
  ASSERT_TRUE(gguf);
  const auto is_padding = [&](std::size_t at) {
    if (at < gguf->data_start()) return false;
    return std::none_of(gguf->tensors().begin(), gguf->tensors().end(),
                        [&](const GgufTensor& t) { return at >= t.offset && at < t.offset + t.bytes; });
  };
  std::mt19937 random(11);
  for (int round = 0; round < 3000; ++round) {
    const std::size_t at = random() % original.size();
    if (is_padding(at)) continue;
    // Aligned as a mapping is.
    auto copy = AlignedBuffer<std::byte>::create(original.size(), "test");
    ASSERT_TRUE(copy);
    std::memcpy(copy->data(), original.data(), original.size());
    copy->data()[at] ^= static_cast<std::byte>(1U << (random() % 8));
    const auto stored = read_stored_model(copy->span(), "flipped.gguf");
    const Status status =
        stored ? verify_tensors(*stored, "flipped.gguf", testing::test_pool()) : Status(stored.error());
    ASSERT_FALSE(status) << "a flip at byte " << at << " went unnoticed";
    ASSERT_THAT(status.error().message, HasSubstr("flipped.gguf"));
    ASSERT_EQ(status.error().message.find('\n'), std::string::npos);
  }
}

TEST(ModelFile, EveryTruncationIsNoticed) {
  const TempDir directory;
  const std::string path = tiny_file(directory);
  const std::string original = testing::read_file(path);
  for (std::size_t n = 1; n < original.size() - 64; n += 997) {
    directory.write("cut.gguf", std::string_view(original).substr(0, n));
    const auto model = load(directory.file("cut.gguf"));
    ASSERT_FALSE(model) << n;
    ASSERT_THAT(model.error().message, HasSubstr("cut.gguf"));
  }
}

// Rewrites the four bytes after `key` (a u32 value) and seals the header again, as a different writer would
// have.
std::string with_u32(std::string file, const std::string& key, std::uint32_t value) {
  const auto gguf = Gguf::parse(std::as_bytes(std::span(file)), "f");
  const std::size_t at = file.find(key) + key.size() + 4;
  std::memcpy(file.data() + at, &value, 4);
  const std::size_t checksum = file.find("sterna.checksum") + 15 + 4;
  const auto header = std::as_bytes(std::span(file)).first(gguf->data_start());
  const std::uint32_t crc = header_checksum(header, checksum);
  std::memcpy(file.data() + checksum, &crc, 4);
  return file;
}

TEST(ModelFile, ANewerVersionIsRefused) {
  const TempDir directory;
  const std::string path = tiny_file(directory);
  directory.write("newer.gguf",
                  with_u32(testing::read_file(path), "sterna.format_version", kFormatVersion + 1));
  const auto model = load(directory.file("newer.gguf"));
  ASSERT_FALSE(model);
  EXPECT_THAT(model.error().message, HasSubstr("newer"));
}

TEST(ModelFile, AConfigurationThatDoesNotFitTheTensorsIsRefused) {
  const TempDir directory;
  const std::string original = testing::read_file(tiny_file(directory));
  for (const char* key :
       {"sterna.embedding_length", "sterna.block_count", "sterna.vocab_size", "sterna.feed_forward_length",
        "sterna.attention.head_count_kv", "sterna.attention.key_length"}) {
    for (const std::uint32_t value : {0U, 1U, 16U, 0xFFFFFFFFU}) {
      directory.write("odd.gguf", with_u32(original, key, value));
      const auto model = load(directory.file("odd.gguf"));
      EXPECT_FALSE(model) << key << " = " << value;
    }
  }
}

TEST(ModelFile, OtherProducersFilesAreNamedAsSuch) {
  const auto path = testing::shared_data("tokenizers/ggml-vocab-gpt-2.gguf");
  STERNA_NEEDS_SHARED(path);
  const auto model = load(path.string());
  ASSERT_FALSE(model);
  EXPECT_THAT(model.error().message, HasSubstr("architecture 'gpt2'"));
}

}  // namespace
}  // namespace sterna::runtime
