#include "convert/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "convert/checkpoint.h"
#include "tests/support/safetensors_writer.h"
#include "tests/support/temp_dir.h"

namespace sterna::convert {
namespace {

using ::testing::HasSubstr;
using testing::safetensors_bytes;
using testing::SafetensorsWriter;
using testing::TempDir;

Result<std::vector<StoredTensor>> open(const std::string& bytes) {
  const TempDir dir;
  dir.write("x.safetensors", bytes);
  auto file = SafetensorsFile::open(dir.file("x.safetensors"));
  if (!file) return file.error();
  return file->tensors();
}

std::string error_of(const std::string& bytes) {
  const auto tensors = open(bytes);
  return tensors ? "no error" : tensors.error().message;
}

TEST(Safetensors, ListsTensorsInFileOrder) {
  SafetensorsWriter writer;
  writer.floats("z", {2, 3}, {1, 2, 3, 4, 5, 6})
      .add("a", "U8", {4}, std::string("abcd"))
      .add("s", "F16", {}, std::string(2, '\0'));
  const std::string bytes = writer.bytes();
  const auto tensors = open(bytes);
  ASSERT_TRUE(tensors) << tensors.error().message;
  ASSERT_EQ(tensors->size(), 3U);
  const StoredTensor& z = (*tensors)[0];
  EXPECT_EQ(z.name, "z");
  EXPECT_EQ(z.dtype, DType::f32);
  EXPECT_EQ(z.rows(), 2U);
  EXPECT_EQ(z.columns(), 3U);
  EXPECT_EQ(z.offset + 30, bytes.size());
  EXPECT_EQ((*tensors)[1].name, "a");
  EXPECT_EQ((*tensors)[1].offset, z.offset + 24);
  EXPECT_EQ((*tensors)[2].rows(), 1U);
  EXPECT_EQ((*tensors)[2].bytes, 2U);
}

TEST(Safetensors, AcceptsMetadataPaddingEmptyTensorsAndForeignTypes) {
  const auto tensors = open(safetensors_bytes(
      R"({"__metadata__":{"format":"pt"},"e":{"dtype":"F32","shape":[0,5],"data_offsets":[0,0]},)"
      R"("f":{"dtype":"F8_E4M3","shape":[3],"data_offsets":[0,3]}}   )",
      "xyz"));
  ASSERT_TRUE(tensors) << tensors.error().message;
  ASSERT_EQ(tensors->size(), 2U);
  EXPECT_EQ((*tensors)[1].dtype, DType::other);
}

TEST(Safetensors, ATruncatedFileSaysWhereItEndsAndWhatIsMissing) {
  SafetensorsWriter writer;
  writer.floats("first", {1}, {1}).floats("layer.weight", {4}, {1, 2, 3, 4});
  const std::string bytes = writer.bytes();
  const std::string message = error_of(bytes.substr(0, bytes.size() - 5));
  EXPECT_THAT(message,
              HasSubstr("x.safetensors: file ends at " + std::to_string(bytes.size() - 5) +
                        ", tensor 'layer.weight' needs bytes up to " + std::to_string(bytes.size())));
  EXPECT_THAT(message, HasSubstr("download it again"));
}

// Every error names the file and says what is wrong with which field.
TEST(Safetensors, RefusesBrokenFiles) {
  const auto one = [](const std::string& entry, const std::string& data) {
    return error_of(safetensors_bytes(std::string("{\"w\":").append(entry).append("}"), data));
  };
  const std::string huge = "\xff\xff\xff\xff\xff\xff\xff\x0f";
  EXPECT_THAT(error_of(""), HasSubstr("0 bytes are too few"));
  EXPECT_THAT(error_of("1234567"), HasSubstr("7 bytes are too few"));
  EXPECT_THAT(error_of(huge + "{}"), HasSubstr("1152921504606846975 bytes, at most 100000000"));
  EXPECT_THAT(error_of(std::string("\x20\0\0\0\0\0\0\0{}", 10)),
              HasSubstr("file ends at 10, its header needs bytes up to 40"));
  EXPECT_THAT(error_of(safetensors_bytes(" {}", "")), HasSubstr("does not begin with '{'"));
  EXPECT_THAT(error_of(safetensors_bytes("{\"w\":", "")), HasSubstr("not valid JSON at byte"));
  EXPECT_THAT(error_of(safetensors_bytes("{\"w\":3}", "")), HasSubstr("tensor 'w': an object is expected"));
  EXPECT_THAT(error_of(safetensors_bytes("{\"__metadata__\":{},\"__metadata__\":{}}", "")),
              HasSubstr("'__metadata__' stands twice"));
  EXPECT_THAT(one(R"({"shape":[1],"data_offsets":[0,4]})", "abcd"),
              HasSubstr("tensor 'w': 'dtype' is missing"));
  EXPECT_THAT(one(R"({"dtype":"Q4","shape":[1],"data_offsets":[0,4]})", "abcd"),
              HasSubstr("'dtype' Q4 is not known"));
  EXPECT_THAT(one(R"({"dtype":"F32","shape":[-1],"data_offsets":[0,4]})", "abcd"),
              HasSubstr("'shape' holds something"));
  EXPECT_THAT(one(R"({"dtype":"F32","shape":[1.5],"data_offsets":[0,4]})", "abcd"),
              HasSubstr("'shape' holds something"));
  EXPECT_THAT(one(R"({"dtype":"F32","shape":4,"data_offsets":[0,4]})", "abcd"),
              HasSubstr("'shape' is missing or not a list"));
  EXPECT_THAT(one(R"({"dtype":"F32","shape":[4294967296,4294967296,2],"data_offsets":[0,4]})", "abcd"),
              HasSubstr("more elements than any file"));
  EXPECT_THAT(one(R"({"dtype":"F32","shape":[2],"data_offsets":[0,4]})", "abcd"),
              HasSubstr("span 4 bytes, 'shape' and 'dtype' need 8"));
  EXPECT_THAT(one(R"({"dtype":"F4","shape":[3],"data_offsets":[0,1]})", "a"), HasSubstr("span 1 bytes"));
  EXPECT_THAT(one(R"({"dtype":"U8","shape":[4],"data_offsets":[4,0]})", "abcd"),
              HasSubstr("end at 0 before they begin at 4"));
  EXPECT_THAT(one(R"({"dtype":"U8","shape":[4],"data_offsets":[0]})", "abcd"),
              HasSubstr("'data_offsets' is missing"));
  EXPECT_THAT(one(R"({"dtype":"U8","shape":[4],"data_offsets":[0,18446744073709551615]})", "abcd"),
              HasSubstr("download it again"));
  EXPECT_THAT(one(R"({"dtype":"U8","shape":[3],"data_offsets":[1,4]})", "abcd"),
              HasSubstr("there is a hole"));
  EXPECT_THAT(one(R"({"dtype":"U8","shape":[3],"data_offsets":[0,3]})", "abcd"),
              HasSubstr("the last tensor ends"));
}

std::string object_of(const std::string& a, const std::string& b) {
  return std::string("{").append(a).append(",").append(b).append("}");
}

TEST(Safetensors, RefusesOverlapsAndDuplicates) {
  const std::string a = R"("a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]})";
  const std::string b = R"("b":{"dtype":"U8","shape":[2],"data_offsets":[2,4]})";
  EXPECT_THAT(error_of(safetensors_bytes(object_of(a, b), "abcd")), HasSubstr("their data overlap"));
  EXPECT_THAT(error_of(safetensors_bytes(object_of(a, a), "abc")), HasSubstr("the key 'a' stands twice"));
}

TEST(Safetensors, DeeplyNestedHeadersAreAnError) {
  const std::string bomb = "{\"w\":" + std::string(100000, '[') + std::string(100000, ']') + "}";
  EXPECT_THAT(error_of(safetensors_bytes(bomb, "")), HasSubstr("nested deeper than"));
}

TEST(Safetensors, NoSuchFileAndDirectories) {
  const TempDir dir;
  EXPECT_FALSE(SafetensorsFile::open(dir.file("absent")));
  EXPECT_FALSE(SafetensorsFile::open(dir.path()));
}

// Whatever happens to a file, opening it gives tensors that lie inside it, or one line of error.
TEST(Safetensors, MutationsNeverCrash) {
  SafetensorsWriter writer;
  writer.floats("model.norm.weight", {3}, {1, 2, 3})
      .add("model.layers.0.mlp.up_proj.weight", "U8", {2, 4}, std::string(8, 'U'));
  const std::string original = writer.bytes();
  const std::uint64_t length = original.size() - 20 - 8;
  std::mt19937 random(7);
  int accepted = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string header = original.substr(8, length);
    for (auto n = 1 + random() % 3; n > 0; --n) {
      const std::size_t at = random() % header.size();
      switch (random() % 4) {
        case 0:
          header[at] = static_cast<char>(random());
          break;
        case 1:
          header[at] = "0123456789[]{},:\"-e."[random() % 20];
          break;
        case 2:
          header.erase(at, 1 + random() % 4);
          break;
        default:
          header.insert(at, header.substr(random() % header.size(), random() % 12));
          break;
      }
      if (header.empty()) header.assign(1, '{');
    }
    const std::uint64_t size = header.size() + 8 + 20;
    const auto tensors = parse_safetensors_header(header, size, "f");
    if (!tensors) {
      EXPECT_THAT(tensors.error().message, ::testing::StartsWith("f: "));
      EXPECT_EQ(tensors.error().message.find('\n'), std::string::npos);
      continue;
    }
    ++accepted;
    for (const StoredTensor& t : *tensors) {
      EXPECT_LE(t.offset + t.bytes, size);
      EXPECT_TRUE(t.dtype == DType::other || t.rows() * t.columns() * dtype_bytes(t.dtype) == t.bytes);
    }
  }
  EXPECT_GT(accepted, 100);  // changed names, mostly: the mutations do reach the checks behind the syntax
}

}  // namespace
}  // namespace sterna::convert
