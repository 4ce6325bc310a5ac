#include "runtime/storage.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "kernels/ternary_matmul/pack.h"
#include "runtime/synthetic.h"
#include "tests/support/engine.h"
#include "tests/support/small_config.h"
#include "tests/support/tiny_model.h"

namespace sterna::runtime {
namespace {

using kernels::CodeForm;
using kernels::TernaryView;

constexpr CodeForm kFolded[] = {CodeForm::base3, CodeForm::pairs, CodeForm::triples};

// From two bits to the other form and back, at sizes with padded rows, columns and tiles.
TEST(Storage, RepackingGivesWhatPackingGives) {
  ThreadPool pool(3);
  std::mt19937 random(1);
  for (std::size_t planes = 1; planes <= kernels::kMaxPlanes; ++planes) {
    for (const std::size_t rows : {16, 50}) {
      for (const std::size_t columns : {37, 256}) {
        const int largest = kernels::max_weight(planes);
        std::uniform_int_distribution<int> weight(-largest, largest);
        std::vector<std::int8_t> values(rows * columns);
        for (auto& v : values) v = static_cast<std::int8_t>(weight(random));
        std::vector<std::uint8_t> bits(kernels::packed_bytes(rows, columns, planes));
        kernels::pack_rows(values.data(), rows, columns, planes, bits.data());
        TernaryView w;
        w.rows = rows;
        w.columns = columns;
        w.planes = planes;
        w.codes = bits.data();
        const CodeForm form = kFolded[planes - 1];
        std::vector<std::uint8_t> expected(kernels::packed_bytes(rows, columns, planes, form));
        kernels::pack_rows(values.data(), rows, columns, planes, expected.data(), form);

        auto folded = repack(w, form, pool);
        ASSERT_TRUE(folded);
        ASSERT_EQ(std::vector(folded->span().begin(), folded->span().end()), expected);
        w.form = form;
        w.codes = folded->data();
        auto back = repack(w, CodeForm::trit2, pool);
        ASSERT_TRUE(back);
        ASSERT_EQ(std::vector(back->span().begin(), back->span().end()), bits);
      }
    }
  }
}

std::vector<float> logits_of(const std::shared_ptr<const Model>& model) {
  const auto session = testing::new_session(model);
  const TokenId ids[] = {1, 72, 105, 33, 7};
  EXPECT_TRUE(session->append(ids));
  return {session->logits().begin(), session->logits().end()};
}

// Converted to every form and number of planes, the same logits to the bit; small files are smaller.
TEST(Storage, EveryFormOfAModelGivesTheSameBits) {
  const testing::TempDir directory;
  testing::TinyModel().write(directory);
  for (const std::size_t planes : {1, 2, 3}) {
    std::vector<std::shared_ptr<const Model>> models;
    for (const Storage storage : {Storage::fast, Storage::small}) {
      auto model = testing::converted(directory.path(), {.planes = planes, .storage = storage});
      ASSERT_TRUE(model) << model.error().message;
      EXPECT_TRUE(is_stored_as((*model)->weights(), (*model)->config(), storage));
      models.push_back(*model);
    }
    EXPECT_EQ(logits_of(models[0]), logits_of(models[1])) << planes;
  }
}

TEST(Storage, AModelInMemoryIsRepackedWholeAndOnlyOnce) {
  ThreadPool pool(2);
  const auto expected = synthetic_model(testing::small_config(), pool);
  auto parts = synthetic_parts(testing::small_config(), pool);
  ASSERT_TRUE(expected);
  ASSERT_TRUE(parts);
  const std::uint64_t before = parts->weight_bytes;
  EXPECT_FALSE(is_stored_as(parts->weights, parts->config, Storage::small));
  ASSERT_TRUE(repack(*parts, Storage::small, pool));
  EXPECT_TRUE(is_stored_as(parts->weights, parts->config, Storage::small));
  EXPECT_FALSE(is_stored_as(parts->weights, parts->config, Storage::fast));
  // Tiles of 20 instead of 16 columns, for 48 and 80 of them: 3 instead of 3 and 4 instead of 5.
  EXPECT_EQ(parts->weight_bytes, before - 2 * (48 / 16) * 64);
  const std::uint8_t* codes = parts->weights.layers[1].down.weight.trits.codes;
  ASSERT_TRUE(repack(*parts, Storage::small, pool));
  EXPECT_EQ(parts->weights.layers[1].down.weight.trits.codes, codes);
  auto model = Model::create(std::move(*parts), "small");
  ASSERT_TRUE(model);
  EXPECT_EQ(logits_of(*model), logits_of(*expected));
}

TEST(Storage, TheMeasurementEndsWithOneOfThem) {
  ThreadPool pool(2);
  const auto storage = faster_storage(testing::test_kernels(), pool, 1U << 20);
  ASSERT_TRUE(storage) << storage.error().message;
  EXPECT_TRUE(*storage == Storage::fast || *storage == Storage::small);
}

}  // namespace
}  // namespace sterna::runtime
