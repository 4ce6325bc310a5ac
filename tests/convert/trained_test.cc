#include "convert/trained.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "convert/hf_names.h"
#include "kernels/ternary_matmul/pack.h"
#include "tests/support/safetensors_writer.h"
#include "tests/support/shared_data.h"
#include "tests/support/temp_dir.h"

namespace sterna::convert {
namespace {

using runtime::Part;
using runtime::Role;
using runtime::TensorSpec;
using runtime::ThreadPool;
using testing::bf16_bits;
using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;
using testing::SafetensorsWriter;
using testing::shared_data;
using testing::TempDir;

constexpr const char* kWeight = "model.layers.0.mlp.up_proj.weight";
constexpr const char* kScale = "model.layers.0.mlp.up_proj.weight_scale";

TensorSpec up_spec(std::uint32_t rows, std::uint32_t columns) {
  return {Role::up, Part::weight, 0, rows, columns, "blk.0.ffn_up.weight"};
}

Result<PackedMatrix> pack(const SafetensorsWriter& writer, TrainedForm form, std::uint32_t rows,
                          std::uint32_t columns, std::size_t threads = 2) {
  const TempDir dir;
  dir.write("model.safetensors", writer.bytes());
  const auto checkpoint = Checkpoint::open(dir.path());
  EXPECT_TRUE(checkpoint) << checkpoint.error().message;
  HfModel model;
  model.quantization.form = form;
  ThreadPool pool(threads);
  return pack_trained(*checkpoint, model, up_spec(rows, columns), pool);
}

std::string error_of(const Result<PackedMatrix>& result) {
  return result ? "no error" : result.error().message;
}

std::vector<int> row_of(const PackedMatrix& matrix, std::size_t row) {
  std::vector<int> values;
  for (std::size_t c = 0; c < matrix.columns; ++c) values.push_back(kernels::unpack(matrix.view(), row, c));
  return values;
}

float weight(const PackedMatrix& matrix, std::size_t row, std::size_t column) {
  const kernels::TernaryView view = matrix.view();
  return kernels::scale_at(view, row, column) * static_cast<float>(kernels::unpack(view, row, column));
}

bool same_bytes(const PackedMatrix& a, const PackedMatrix& b) {
  const auto equal = [](const AlignedBytes& x, const AlignedBytes& y) {
    return x.size() == y.size() && std::memcmp(x.data(), y.data(), x.size()) == 0;
  };
  return a.rows == b.rows && a.columns == b.columns && a.planes == b.planes && a.group == b.group &&
         a.scale_type == b.scale_type && equal(a.codes, b.codes) && equal(a.scales, b.scales);
}

// The example in the comments of transformers' unpack_weights().
TEST(PackTrained, UnpacksAlongTheRows) {
  SafetensorsWriter writer;
  writer.add(kWeight, "U8", {2, 2}, std::string("\xA1\x18\x90\x0A", 4)).floats(kScale, {1}, {0.25F});
  const auto matrix = pack(writer, TrainedForm::packed_direct, 8, 2);
  ASSERT_TRUE(matrix) << matrix.error().message;
  const std::vector<int> expected[] = {{0, -1}, {-1, 1}, {-1, 1}, {-1, 1}, {1, 0}, {0, -1}, {1, -1}, {1, -1}};
  for (std::size_t r = 0; r < 8; ++r) EXPECT_THAT(row_of(*matrix, r), ElementsAreArray(expected[r])) << r;
  EXPECT_EQ(matrix->group, 0U);
  EXPECT_EQ(kernels::scale_at(matrix->view(), 7, 1), 0.25F);
}

// Seven rows: two stored ones, and no row 7, whatever its bits are.
TEST(PackTrained, TheLastOfFourRowsMayBeMissing) {
  SafetensorsWriter writer;
  // rows 0, 2, 4, 6 and 1, 3, 5, (7)
  writer.add(kWeight, "U8", {2, 1}, std::string("\x18\xE4", 2)).floats(kScale, {1}, {1.0F});
  const auto matrix = pack(writer, TrainedForm::packed_direct, 7, 1);
  ASSERT_TRUE(matrix) << matrix.error().message;
  std::vector<int> column;
  for (std::size_t r = 0; r < 7; ++r) column.push_back(row_of(*matrix, r)[0]);
  EXPECT_THAT(column, ElementsAre(-1, -1, 1, 0, 0, 1, -1));
}

TEST(PackTrained, ScalesOfBothMeanings) {
  const auto scale_of = [](TrainedForm form, const char* dtype, const std::string& bytes) {
    SafetensorsWriter writer;
    writer.add(kWeight, "U8", {1, 1}, std::string(1, '\xAA')).add(kScale, dtype, {1}, bytes);
    const auto matrix = pack(writer, form, 4, 1);
    EXPECT_TRUE(matrix) << matrix.error().message;
    return kernels::scale_at(matrix->view(), 0, 0);
  };
  const float three = 3.0F;
  const std::string single(reinterpret_cast<const char*>(&three), 4);
  const std::uint16_t brain = bf16_bits(3.0F);
  const std::string half(reinterpret_cast<const char*>(&brain), 2);
  EXPECT_EQ(scale_of(TrainedForm::packed_direct, "F32", single), 3.0F);
  EXPECT_EQ(scale_of(TrainedForm::packed_inverse, "F32", single), 1.0F / 3.0F);
  EXPECT_EQ(scale_of(TrainedForm::packed_direct, "BF16", half), 3.0F);
  EXPECT_EQ(scale_of(TrainedForm::packed_inverse, "BF16", half), 1.0F / 3.0F);
}

TEST(PackTrained, ScalesThatCannotBe) {
  const float bad[] = {0.0F, -1.0F, std::numeric_limits<float>::quiet_NaN(),
                       std::numeric_limits<float>::infinity()};
  for (const TrainedForm form : {TrainedForm::packed_direct, TrainedForm::packed_inverse}) {
    for (const float scale : bad) {
      SafetensorsWriter writer;
      writer.add(kWeight, "U8", {1, 1}, std::string(1, '\xAA')).floats(kScale, {1}, {scale});
      EXPECT_THAT(error_of(pack(writer, form, 4, 1)), HasSubstr("up_proj.weight_scale' is")) << scale;
    }
  }
  SafetensorsWriter tiny;  // whose inverse is infinite
  tiny.add(kWeight, "U8", {1, 1}, std::string(1, '\xAA')).floats(kScale, {1}, {1e-40F});
  EXPECT_THAT(error_of(pack(tiny, TrainedForm::packed_inverse, 4, 1)),
              HasSubstr("a positive number is expected"));
  SafetensorsWriter none;
  none.add(kWeight, "U8", {1, 1}, std::string(1, '\xAA'));
  EXPECT_THAT(error_of(pack(none, TrainedForm::packed_direct, 4, 1)), HasSubstr("weight_scale' is missing"));
}

TEST(PackTrained, CodeThreeIsDamage) {
  std::string bytes(40, '\x55');
  bytes[33] = '\x75';  // stored row 3, column 3, third code
  SafetensorsWriter writer;
  writer.add(kWeight, "U8", {4, 10}, bytes).floats(kScale, {1}, {1.0F});
  EXPECT_THAT(error_of(pack(writer, TrainedForm::packed_direct, 16, 10)),
              HasSubstr("the unused code 3 at row 11, column 3"));
}

TEST(PackTrained, TypesThatContradictTheForm) {
  SafetensorsWriter floats;
  floats.floats(kWeight, {4, 1}, {1, 2, 3, 4}).floats(kScale, {1}, {1.0F});
  EXPECT_THAT(error_of(pack(floats, TrainedForm::packed_inverse, 4, 1)),
              HasSubstr("is F32, but quantization_config says that it is packed"));
  EXPECT_THAT(error_of(pack(floats, TrainedForm::packed_direct, 4, 1)),
              HasSubstr("row 1, column 0 is 2, but quantization_config says"));
  SafetensorsWriter bytes;
  bytes.add(kWeight, "U8", {1, 1}, std::string(1, '\xAA')).floats(kScale, {1}, {1.0F});
  EXPECT_THAT(error_of(pack(bytes, TrainedForm::master_absmean, 4, 1)),
              HasSubstr("is [1, 1] U8, config.json implies [4, 1]"));
  EXPECT_THAT(error_of(pack(bytes, TrainedForm::packed_direct, 8, 1)),
              HasSubstr("is [1, 1] U8, config.json implies [2, 1]"));
}

// transformers saves autobitlinear models with the trits as floats once it has loaded them.
TEST(PackTrained, UnpackedTrits) {
  SafetensorsWriter writer;
  writer.floats(kWeight, {2, 2}, {1, 0, -1, -0.0F}).floats(kScale, {1}, {2.0F});
  const auto matrix = pack(writer, TrainedForm::packed_direct, 2, 2);
  ASSERT_TRUE(matrix) << matrix.error().message;
  EXPECT_THAT(row_of(*matrix, 0), ElementsAre(1, 0));
  EXPECT_THAT(row_of(*matrix, 1), ElementsAre(-1, 0));
  EXPECT_EQ(kernels::scale_at(matrix->view(), 1, 1), 2.0F);
}

// Mean 1, so that the weights are their own quotients: halves round to even, as torch does.
TEST(PackTrained, AbsmeanRoundsHalvesToEven) {
  SafetensorsWriter writer;
  writer.floats(kWeight, {2, 3}, {0.5F, 1.5F, 0.75F, -0.5F, -1.5F, -1.25F});
  const auto matrix = pack(writer, TrainedForm::master_absmean, 2, 3);
  ASSERT_TRUE(matrix) << matrix.error().message;
  EXPECT_THAT(row_of(*matrix, 0), ElementsAre(0, 1, 1));
  EXPECT_THAT(row_of(*matrix, 1), ElementsAre(0, -1, -1));
  EXPECT_EQ(kernels::scale_at(matrix->view(), 0, 0), 1.0F);
}

TEST(PackTrained, AbsmeanOfTinyWeightsIsClamped) {
  SafetensorsWriter writer;
  writer.floats(kWeight, {1, 2}, {1e-6F, -9e-6F});
  const auto matrix = pack(writer, TrainedForm::master_absmean, 1, 2);
  ASSERT_TRUE(matrix) << matrix.error().message;
  EXPECT_THAT(row_of(*matrix, 0), ElementsAre(0, -1));  // mean 5e-6, divided by 1e-5 all the same
  EXPECT_EQ(kernels::scale_at(matrix->view(), 0, 0), 1.0F / (1.0F / 1e-5F));
}

TEST(PackTrained, MasterWeightsMustBeNumbers) {
  std::vector<float> weights(40 * 3, 1.0F);
  weights[100] = std::numeric_limits<float>::quiet_NaN();
  weights[50] = -std::numeric_limits<float>::infinity();
  SafetensorsWriter writer;
  writer.floats(kWeight, {40, 3}, weights);
  for (const std::size_t threads : {1U, 2U, 3U}) {
    EXPECT_THAT(error_of(pack(writer, TrainedForm::master_absmean, 40, 3, threads)),
                HasSubstr("row 16, column 2 is -inf"));
  }
}

struct Model {
  HfModel model;
  Checkpoint checkpoint;
};

Model open_model(const std::filesystem::path& directory) {
  auto model = read_hf_model(directory.string());
  auto checkpoint = Checkpoint::open(directory.string());
  EXPECT_TRUE(model && checkpoint);
  return {*std::move(model), *std::move(checkpoint)};
}

template <class Body>
void for_each_linear(const Model& m, const Body& body) {
  ThreadPool pool(2);
  for (const TensorSpec& spec : runtime::tensor_list(m.model.config)) {
    if (!spec.is_linear()) continue;
    const auto matrix = pack_trained(m.checkpoint, m.model, spec, pool);
    ASSERT_TRUE(matrix) << matrix.error().message;
    body(spec, *matrix);
  }
}

std::int32_t ulps(float a, float b) {
  std::int32_t x = 0;
  std::int32_t y = 0;
  std::memcpy(&x, &a, 4);
  std::memcpy(&y, &b, 4);
  return std::abs(x - y);
}

// torch 2.13 computed both from models/demo with the formula of transformers' WeightQuant: FNV-1a over the
// trits + 1 of all linears in file order (q, k, v, o, gate, up, down of each layer), and the first layer's 1
// / scale. torch sums floats in blocks; its sums of 2^16 to 2^18 values were seen to differ by up to 2 ulp
// from the exactly rounded mean.
TEST(PackTrained, AbsmeanAgreesWithTorchOnTheDemoModel) {
  const Model demo = open_model(STERNA_SOURCE_DIR "/models/demo");
  std::uint64_t hash = 0xcbf29ce484222325U;
  std::vector<float> scales;
  for_each_linear(demo, [&](const TensorSpec&, const PackedMatrix& matrix) {
    std::vector<std::int8_t> trits(matrix.columns);
    for (std::size_t r = 0; r < matrix.rows; ++r) {
      kernels::unpack_row(matrix.view(), r, trits.data());
      for (const std::int8_t t : trits) hash = (hash ^ static_cast<std::uint8_t>(t + 1)) * 0x100000001b3U;
    }
    scales.push_back(kernels::scale_at(matrix.view(), 0, 0));
  });
  EXPECT_EQ(hash, 0x733a70596b7a3cb2U);
  const float torch[] = {0x1.13c79ap-4F, 0x1.0c5088p-4F, 0x1.2b7e6ap-4F, 0x1.262e26p-4F,
                         0x1.0632b2p-4F, 0x1.ff7baep-5F, 0x1.192832p-4F};
  ASSERT_EQ(scales.size(), 42U);
  for (std::size_t i = 0; i < std::size(torch); ++i) EXPECT_LE(ulps(scales[i], torch[i]), 2) << i;
}

// The same trained model with the scales stored directly and inverted.
TEST(PackTrained, BothStoredFormsOfOneModelAreEqual) {
  STERNA_NEEDS_SHARED(shared_data("models/bitllama2c-bitlinear"));
  const Model direct = open_model(shared_data("models/bitllama2c"));
  const Model inverse = open_model(shared_data("models/bitllama2c-bitlinear"));
  ASSERT_EQ(direct.model.quantization.form, TrainedForm::packed_direct);
  ASSERT_EQ(inverse.model.quantization.form, TrainedForm::packed_inverse);
  ThreadPool pool(2);
  for_each_linear(direct, [&](const TensorSpec& spec, const PackedMatrix& a) {
    const auto b = pack_trained(inverse.checkpoint, inverse.model, spec, pool);
    ASSERT_TRUE(b) << b.error().message;
    ASSERT_EQ(a.codes.size(), b->codes.size());
    EXPECT_EQ(std::memcmp(a.codes.data(), b->codes.data(), a.codes.size()), 0) << spec.name;
    // Two roundings, of the stored inverse and of its inverse, half an ulp each.
    EXPECT_LE(ulps(kernels::scale_at(a.view(), 0, 0), kernels::scale_at(b->view(), 0, 0)), 1) << spec.name;
  });
}

// Rows that are not a multiple of four times 16, columns that are no multiple of 16.
TEST(PackTrained, StoriesAgreeWithADirectReadingOfTheBytes) {
  STERNA_NEEDS_SHARED(shared_data("models/stories260K-bitlinear"));
  const Model stories = open_model(shared_data("models/stories260K-bitlinear"));
  for_each_linear(stories, [&](const TensorSpec& spec, const PackedMatrix& matrix) {
    const auto bytes = stories.checkpoint.read(hf_module(spec) + ".weight");
    const auto scale =
        stories.checkpoint.read_floats(*stories.checkpoint.find(hf_module(spec) + ".weight_scale"));
    ASSERT_TRUE(bytes && scale);
    const std::size_t quarter = (spec.rows + 3) / 4;
    for (std::size_t r = 0; r < spec.rows; ++r) {
      for (std::size_t c = 0; c < spec.columns; ++c) {
        const int code =
            std::to_integer<int>((*bytes)[r % quarter * spec.columns + c]) >> (2 * (r / quarter)) & 3;
        ASSERT_EQ(kernels::unpack(matrix.view(), r, c), code - 1) << spec.name;
      }
    }
    EXPECT_EQ(kernels::scale_at(matrix.view(), 0, 0), 1.0F / (*scale)[0]);
  });
}

std::optional<PackedMatrix> by_value(std::size_t rows, std::size_t columns, const std::vector<float>& data,
                                     std::size_t threads = 2) {
  ThreadPool pool(threads);
  auto result = pack_by_value(matrix_source("w", rows, columns, data), pool);
  EXPECT_TRUE(result) << result.error().message;
  return *std::move(result);
}

void expect_exact(const PackedMatrix& matrix, const std::vector<float>& data) {
  for (std::size_t i = 0; i < data.size(); ++i) {
    ASSERT_EQ(weight(matrix, i / matrix.columns, i % matrix.columns), data[i]) << i;
  }
}

// Random trits times magnitude(row, group).
template <class Magnitude>
std::vector<float> ternary(std::size_t rows, std::size_t columns, const Magnitude& magnitude) {
  std::mt19937 random(3);
  std::vector<float> data(rows * columns);
  for (std::size_t i = 0; i < data.size(); ++i) {
    data[i] =
        magnitude(i / columns, i % columns / 128) * static_cast<float>(static_cast<int>(random() % 3) - 1);
  }
  return data;
}

TEST(PackByValue, OneMagnitudeIsOneScale) {
  const std::vector<float> data = ternary(19, 300, [](auto, auto) { return 0.1F; });
  const auto matrix = by_value(19, 300, data);
  ASSERT_TRUE(matrix);
  EXPECT_EQ(matrix->group, 0U);
  EXPECT_EQ(matrix->planes, 1U);
  expect_exact(*matrix, data);
}

// TriLM and Bonsai: f16 checkpoints with a scale per shard or per group.
TEST(PackByValue, GroupScalesInHalfPrecisionWhereThatIsExact) {
  const std::vector<float> halves = ternary(
      33, 576, [](std::size_t r, std::size_t g) { return static_cast<float>(1 + r + 64 * g) / 1024.0F; });
  const auto matrix = by_value(33, 576, halves);
  ASSERT_TRUE(matrix);
  EXPECT_EQ(matrix->group, 128U);
  EXPECT_EQ(matrix->scale_type, kernels::ScaleType::f16);
  expect_exact(*matrix, halves);

  const std::vector<float> singles =
      ternary(33, 576, [](std::size_t r, std::size_t g) { return 0.1F * static_cast<float>(1 + r + g); });
  const auto wide = by_value(33, 576, singles);
  ASSERT_TRUE(wide);
  EXPECT_EQ(wide->scale_type, kernels::ScaleType::f32);
  expect_exact(*wide, singles);
  for (const std::size_t threads : {1U, 3U})
    EXPECT_TRUE(same_bytes(*wide, *by_value(33, 576, singles, threads)));
}

TEST(PackByValue, SubnormalHalvesStaySingle) {
  const std::vector<float> data = {0x1p-15F, 0.0F, 1.0F, -1.0F};
  const auto matrix = by_value(2, 2, data);
  ASSERT_TRUE(matrix);
  EXPECT_EQ(matrix->scale_type, kernels::ScaleType::f32);
  expect_exact(*matrix, data);
}

TEST(PackByValue, ZerosOfBothSigns) {
  const std::vector<float> data = {0.0F, -0.0F, 0.0F, 0.0F};
  const auto matrix = by_value(2, 2, data);
  ASSERT_TRUE(matrix);
  EXPECT_EQ(matrix->group, 0U);
  expect_exact(*matrix, data);  // -0.0F == 0.0F
}

TEST(PackByValue, TwoMagnitudesInOneGroupAreNotTernary) {
  std::vector<float> data = ternary(40, 200, [](auto, auto) { return 1.0F; });
  data[39 * 200 + 199] = std::nextafter(1.0F, 2.0F);
  data[39 * 200 + 198] = 1.0F;
  for (const std::size_t threads : {1U, 2U, 3U}) EXPECT_FALSE(by_value(40, 200, data, threads));
}

TEST(PackByValue, NotANumber) {
  std::vector<float> data(64 * 2, 1.0F);
  data[81] = std::numeric_limits<float>::quiet_NaN();
  ThreadPool pool(2);
  const auto result = pack_by_value(matrix_source("w", 64, 2, data), pool);
  ASSERT_FALSE(result);
  EXPECT_THAT(result.error().message, HasSubstr("w: row 40, column 1 is nan"));
}

}  // namespace
}  // namespace sterna::convert
