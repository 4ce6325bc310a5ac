#include "convert/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

#include "tests/support/safetensors_writer.h"
#include "tests/support/temp_dir.h"

namespace sterna::convert {
namespace {

using testing::bf16_bits;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::SafetensorsWriter;
using testing::TempDir;

std::string error_of(const TempDir& dir) {
  const auto checkpoint = Checkpoint::open(dir.path());
  return checkpoint ? "no error" : checkpoint.error().message;
}

TEST(Checkpoint, ReadsRowsOfASingleFile) {
  const TempDir dir;
  dir.write("model.safetensors",
            SafetensorsWriter()
                .floats("w", {3, 2}, {1, 2, 3, 4, 5, 6})
                .add("b", "BF16", {2}, std::vector<std::uint16_t>{bf16_bits(1.5F), bf16_bits(-2.0F)})
                .bytes());
  const auto checkpoint = Checkpoint::open(dir.path());
  ASSERT_TRUE(checkpoint) << checkpoint.error().message;
  EXPECT_THAT(checkpoint->names(), ElementsAre("b", "w"));
  EXPECT_EQ(checkpoint->find("x"), nullptr);
  const StoredTensor* w = checkpoint->find("w");
  ASSERT_NE(w, nullptr);
  EXPECT_EQ(checkpoint->path_of(*w), dir.file("model.safetensors"));
  std::vector<float> rows(4);
  ASSERT_TRUE(checkpoint->read_floats(*w, 1, 3, rows));
  EXPECT_THAT(rows, ElementsAre(3, 4, 5, 6));
  std::vector<std::byte> raw(8);
  ASSERT_TRUE(checkpoint->read_rows(*w, 1, 2, raw));
  EXPECT_EQ(raw[3], std::byte{0x40});  // 3.0F is 0x40400000
  const auto b = checkpoint->read_floats(*checkpoint->find("b"));
  ASSERT_TRUE(b);
  EXPECT_THAT(*b, ElementsAre(1.5F, -2.0F));
  EXPECT_EQ(checkpoint->read("b")->size(), 4U);
  EXPECT_FALSE(checkpoint->read("x"));
}

TEST(Checkpoint, LongTensorsOfEveryFloatTypeAreReadExactly) {
  // More elements than one piece of the conversion holds.
  constexpr std::size_t kRows = 300;
  constexpr std::size_t kColumns = 113;
  std::vector<std::uint16_t> half(kRows * kColumns);
  std::vector<std::uint16_t> brain(half.size());
  std::vector<double> wide(half.size());
  for (std::size_t i = 0; i < half.size(); ++i) {
    half[i] = static_cast<std::uint16_t>(0x3C00U + (i & 1U) * 0x400U);  // 1 or 2
    brain[i] = bf16_bits(static_cast<float>(i % 256));
    wide[i] = static_cast<double>(i) + 0.5;
  }
  const TempDir dir;
  dir.write("model.safetensors", SafetensorsWriter()
                                     .add("h", "F16", {kRows, kColumns}, half)
                                     .add("b", "BF16", {kRows, kColumns}, brain)
                                     .add("d", "F64", {kRows, kColumns}, wide)
                                     .add("i", "I32", {1}, std::string(4, '\0'))
                                     .bytes());
  const auto checkpoint = Checkpoint::open(dir.path());
  ASSERT_TRUE(checkpoint) << checkpoint.error().message;
  const auto h = checkpoint->read_floats(*checkpoint->find("h"));
  const auto b = checkpoint->read_floats(*checkpoint->find("b"));
  const auto d = checkpoint->read_floats(*checkpoint->find("d"));
  ASSERT_TRUE(h && b && d);
  for (std::size_t i = 0; i < half.size(); ++i) {
    ASSERT_EQ((*h)[i], static_cast<float>(1 + (i & 1U)));
    ASSERT_EQ((*b)[i], static_cast<float>(i % 256));
    ASSERT_EQ((*d)[i], static_cast<float>(wide[i]));
  }
  const auto integers = checkpoint->read_floats(*checkpoint->find("i"));
  ASSERT_FALSE(integers);
  EXPECT_THAT(integers.error().message, HasSubstr("tensor 'i' is I32, a float type is expected"));
}

// Every f16, against the definition of the format.
TEST(ToFloat, EveryHalf) {
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    float value = 0.0F;
    to_float(DType::f16, std::as_bytes(std::span(&half, 1)), std::span(&value, 1));
    const int exponent = static_cast<int>(bits >> 10 & 31U);
    const auto mantissa = static_cast<double>(bits & 1023U);
    const double sign = bits >> 15 != 0 ? -1.0 : 1.0;
    if (exponent == 31) {
      EXPECT_EQ(std::isnan(value), mantissa != 0) << bits;
      EXPECT_TRUE(mantissa != 0 || value == sign * std::numeric_limits<float>::infinity()) << bits;
      continue;
    }
    const double expected =
        exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024.0 + mantissa, exponent - 25);
    EXPECT_EQ(value, static_cast<float>(sign * expected)) << bits;
    EXPECT_EQ(std::signbit(value), bits >> 15 != 0);
  }
}

TEST(ToFloat, DoublesBeyondFloatBecomeInfinite) {
  const double values[] = {1e300, -1e300, 0x1.fffffep127, 1.0 + 0x1p-30};
  float out[4];
  to_float(DType::f64, std::as_bytes(std::span(values)), out);
  EXPECT_THAT(out,
              ElementsAre(std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
                          std::numeric_limits<float>::max(), 1.0F));
}

constexpr const char* kIndex = "model.safetensors.index.json";

struct Shards {
  TempDir dir;
  Shards() {
    dir.write("a.safetensors", SafetensorsWriter().floats("x", {1}, {1}).bytes());
    dir.write("b.safetensors", SafetensorsWriter().floats("y", {2}, {2, 3}).bytes());
  }
  void index(const std::string& map) const {
    dir.write(kIndex, "{\"metadata\":{},\"weight_map\":" + map + "}");
  }
};

TEST(Checkpoint, ReadsShards) {
  const Shards shards;
  shards.index(R"({"x":"a.safetensors","y":"b.safetensors"})");
  const auto checkpoint = Checkpoint::open(shards.dir.path());
  ASSERT_TRUE(checkpoint) << checkpoint.error().message;
  EXPECT_EQ(checkpoint->files().size(), 2U);
  EXPECT_EQ(checkpoint->path_of(*checkpoint->find("y")), shards.dir.file("b.safetensors"));
  EXPECT_THAT(*checkpoint->read_floats(*checkpoint->find("y")), ElementsAre(2, 3));
}

TEST(Checkpoint, RefusesShardsThatDoNotBelongTogether) {
  const Shards shards;
  shards.index(R"({"x":"a.safetensors","y":"c.safetensors"})");
  EXPECT_THAT(error_of(shards.dir), HasSubstr("shard c.safetensors is missing: download it"));
  shards.index(R"({"x":"a.safetensors","z":"b.safetensors"})");
  EXPECT_THAT(error_of(shards.dir), HasSubstr("tensor 'z' should be in b.safetensors and is not"));
  shards.index(R"({"x":"b.safetensors","y":"b.safetensors"})");
  EXPECT_THAT(error_of(shards.dir), HasSubstr("tensor 'x' should be in b.safetensors and is not"));
  shards.dir.write("b.safetensors",
                   SafetensorsWriter().floats("y", {1}, {2}).floats("extra", {1}, {3}).bytes());
  shards.index(R"({"x":"a.safetensors","y":"b.safetensors"})");
  EXPECT_THAT(error_of(shards.dir), HasSubstr("tensor 'extra' of"));
  shards.dir.write("b.safetensors", SafetensorsWriter().floats("y", {1}, {2}).floats("x", {1}, {3}).bytes());
  EXPECT_THAT(error_of(shards.dir), HasSubstr("tensor 'x' is also in"));
}

TEST(Checkpoint, RefusesShardNamesThatLeaveTheDirectory) {
  const Shards shards;
  for (const char* name :
       {"../a.safetensors", "/etc/passwd", "sub/a.safetensors", "..", "", "a\\\\b", "a\\u0000b"}) {
    shards.index(std::string(R"({"x":")") + name + "\"}");
    EXPECT_THAT(error_of(shards.dir),
                HasSubstr("'weight_map' gives for 'x' something that is not the name of a file"))
        << name;
  }
  shards.index(R"({"x":7})");
  EXPECT_THAT(error_of(shards.dir), HasSubstr("'weight_map' gives for 'x'"));
  shards.index("{}");
  EXPECT_THAT(error_of(shards.dir), HasSubstr("'weight_map' is missing, empty"));
  shards.dir.write(kIndex, "nonsense");
  EXPECT_THAT(error_of(shards.dir), HasSubstr("not valid JSON"));
}

TEST(Checkpoint, SaysWhatIsMissing) {
  const TempDir dir;
  EXPECT_THAT(error_of(dir), HasSubstr("neither model.safetensors nor model.safetensors.index.json is here"));
  dir.write("pytorch_model.bin", "x");
  EXPECT_THAT(error_of(dir), HasSubstr("only pytorch_model.bin is here; save the model as safetensors"));
  const auto absent = Checkpoint::open(dir.file("nowhere"));
  ASSERT_FALSE(absent);
  EXPECT_THAT(absent.error().message, HasSubstr("no such directory"));
}

}  // namespace
}  // namespace sterna::convert
