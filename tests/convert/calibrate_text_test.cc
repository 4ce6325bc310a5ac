// What a calibration reads and keeps beside its arithmetic: windows of text, activations, finished layers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "convert/calibrate/default_text.h"
#include "convert/calibrate/store.h"
#include "convert/calibrate/text.h"
#include "convert/calibrate/work_folder.h"
#include "runtime/fingerprints.h"
#include "tests/support/shared_data.h"
#include "tests/support/tiny_model.h"

namespace sterna::convert {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;
using testing::TempDir;
using testing::TinyModel;

template <class T>
std::string error_of(const Result<T>& result) {
  return result ? "no error" : result.error().message;
}

// Every byte is a token. with_bos: a text begins with <s>, which is 256.
runtime::Tokenizer byte_tokenizer(bool with_bos = false) {
  nlohmann::json json = TinyModel::default_tokenizer();
  if (with_bos) {
    json["post_processor"] = {
        {"type", "TemplateProcessing"},
        {"single",
         {{{"SpecialToken", {{"id", "<s>"}, {"type_id", 0}}}},
          {{"Sequence", {{"id", "A"}, {"type_id", 0}}}}}},
        {"special_tokens", {{"<s>", {{"id", "<s>"}, {"ids", {256}}, {"tokens", {"<s>"}}}}}}};
  }
  const auto spec = runtime::split_spec(json.dump(), "tokenizer");
  EXPECT_TRUE(spec) << error_of(spec);
  auto tokenizer = runtime::Tokenizer::create(*spec, "tokenizer");
  EXPECT_TRUE(tokenizer) << error_of(tokenizer);
  return *std::move(tokenizer);
}

// Letters in a row that does not repeat within a window, so that a window tells where it was cut.
std::string letters(std::size_t n) {
  std::mt19937 random(11);
  std::string text(n, ' ');
  for (char& c : text) c = static_cast<char>('a' + random() % 26);
  return text;
}

std::vector<runtime::TokenId> window_of(const CalibrationWindows& w, std::size_t i) {
  const auto begin = w.ids.begin() + static_cast<std::ptrdiff_t>(i * w.window);
  return {begin, begin + static_cast<std::ptrdiff_t>(w.window)};
}

class WindowsTest : public ::testing::Test {
 protected:
  [[nodiscard]] Result<CalibrationWindows> windows(const std::vector<std::string>& files, std::size_t tokens,
                                                   std::uint64_t seed = 0, std::size_t window = 16) const {
    CalibrationText text;
    for (const std::string& file : files) text.files.push_back(directory_.file(file));
    text.tokens = tokens;
    text.seed = seed;
    return calibration_windows(text, tokenizer_, window);
  }

  TempDir directory_;
  runtime::Tokenizer tokenizer_ = byte_tokenizer();
};

TEST_F(WindowsTest, AreCutSideBySideAndTakenOnceEach) {
  const std::string text = letters(327);
  directory_.write("a.txt", text);
  const auto all = windows({"a.txt"}, 320);
  ASSERT_TRUE(all) << error_of(all);
  ASSERT_EQ(all->windows(), 20U);
  std::set<std::size_t> places;
  for (std::size_t i = 0; i < 20; ++i) {
    const auto ids = window_of(*all, i);
    const std::size_t at = text.find(std::string(ids.begin(), ids.end()));
    ASSERT_NE(at, std::string::npos) << i;
    EXPECT_EQ(at % 16, 0U) << i;
    places.insert(at);
  }
  EXPECT_EQ(places.size(), 20U);
  EXPECT_EQ(all->text.text, "a.txt (320 tokens)");
}

TEST_F(WindowsTest, AreAsManyAsTheTokensNeed) {
  directory_.write("a.txt", letters(1000));
  const auto count = [&](std::size_t tokens) {
    const auto w = windows({"a.txt"}, tokens);
    EXPECT_TRUE(w) << error_of(w);
    return w ? w->windows() : 0;
  };
  EXPECT_EQ(count(1), 1U);
  EXPECT_EQ(count(16), 1U);
  EXPECT_EQ(count(17), 2U);
  EXPECT_EQ(count(160), 10U);
  EXPECT_EQ(count(0), 1U);
  EXPECT_EQ(count(5000), 62U);  // 1000 / 16: all that there are
  EXPECT_EQ(count(SIZE_MAX), 62U);
}

TEST_F(WindowsTest, TheSeedDecidesWhichAndInWhichOrder) {
  directory_.write("a.txt", letters(1600));
  const auto first = windows({"a.txt"}, 160, 3);
  const auto again = windows({"a.txt"}, 160, 3);
  const auto other = windows({"a.txt"}, 160, 4);
  ASSERT_TRUE(first && again && other);
  EXPECT_EQ(first->ids, again->ids);
  EXPECT_NE(first->ids, other->ids);
  // More of the same seed begin with the same ones: what was held out of a small run is no accident of it.
  const auto more = windows({"a.txt"}, 320, 3);
  ASSERT_TRUE(more);
  EXPECT_TRUE(std::equal(first->ids.begin(), first->ids.end(), more->ids.begin()));
}

TEST_F(WindowsTest, TextsFollowOneAnother) {
  const std::string text = letters(64);
  directory_.write("a.txt", text.substr(0, 20));
  directory_.write("b.txt", text.substr(20));
  directory_.write("whole.txt", text);
  const auto two = windows({"a.txt", "b.txt"}, 64);
  const auto one = windows({"whole.txt"}, 64);
  ASSERT_TRUE(two && one);
  EXPECT_EQ(two->ids, one->ids);
  EXPECT_EQ(two->text.text, "a.txt + b.txt (64 tokens)");
}

TEST_F(WindowsTest, ATextShorterThanAWindowIsNamed) {
  directory_.write("short.txt", letters(15));
  const std::string error = error_of(windows({"short.txt"}, 64));
  EXPECT_THAT(error, HasSubstr("short.txt"));
  EXPECT_THAT(error, HasSubstr("15 tokens"));
  EXPECT_THAT(error, HasSubstr("16"));
  directory_.write("empty.txt", "");
  EXPECT_THAT(error_of(windows({"empty.txt"}, 64)), HasSubstr("empty.txt"));
}

TEST_F(WindowsTest, RowsOfJsonLinesAreLinesOfText) {
  const std::string text = letters(40);
  directory_.write("rows.jsonl", R"({"id": 1, "text": ")" + text.substr(0, 19) + "\"}\r\n\n  \n" +
                                     R"({"text": ")" + text.substr(20, 19) + "\"}");
  directory_.write("plain.txt", text.substr(0, 19) + "\n" + text.substr(20, 19) + "\n");
  const auto rows = windows({"rows.jsonl"}, 40, 0, 10);
  const auto plain = windows({"plain.txt"}, 40, 0, 10);
  ASSERT_TRUE(rows && plain) << error_of(rows);
  EXPECT_EQ(rows->ids, plain->ids);
}

TEST_F(WindowsTest, ErrorsInJsonLinesNameFileAndLine) {
  const auto error = [&](const std::string& third_line) {
    directory_.write("rows.jsonl", "{\"text\": \"a\"}\n\n" + third_line + "\n{\"text\": \"b\"}\n");
    return error_of(windows({"rows.jsonl"}, 64, 0, 2));
  };
  EXPECT_THAT(error("{\"content\": \"a\"}"), HasSubstr("rows.jsonl: line 3: has no string \"text\""));
  EXPECT_THAT(error("{\"text\": 7}"), HasSubstr("rows.jsonl: line 3: has no string \"text\""));
  EXPECT_THAT(error("{\"text\": \"a\""), HasSubstr("rows.jsonl: line 3"));
  EXPECT_THAT(error("[1]"), HasSubstr("rows.jsonl: line 3"));
  EXPECT_THAT(error("{\"text\": \"\xFF\"}"), HasSubstr("rows.jsonl: line 3"));
}

TEST_F(WindowsTest, FilesThatCannotBeReadAreNamed) {
  EXPECT_THAT(error_of(windows({"nowhere.txt"}, 64)), HasSubstr("nowhere.txt"));
  EXPECT_THAT(error_of(windows({"."}, 64)), HasSubstr(directory_.path()));
  directory_.write("latin.txt", letters(100) + "caf\xE9 au lait");
  const std::string error = error_of(windows({"latin.txt"}, 64));
  EXPECT_THAT(error, HasSubstr("latin.txt"));
  EXPECT_THAT(error, HasSubstr("UTF-8"));
}

// As when it is measured: the first token of every window makes room for BOS.
TEST_F(WindowsTest, BeginWithBosWhereTheTokenizerPutsOne) {
  directory_.write("a.txt", letters(64));
  const auto bare = windows({"a.txt"}, 64);
  tokenizer_ = byte_tokenizer(true);
  const auto framed = windows({"a.txt"}, 64);
  ASSERT_TRUE(bare && framed);
  ASSERT_EQ(framed->ids.size(), bare->ids.size());
  for (std::size_t i = 0; i < framed->ids.size(); ++i) {
    EXPECT_EQ(framed->ids[i], i % 16 == 0 ? 256 : bare->ids[i]) << i;
  }
}

TEST_F(WindowsTest, SpecialTokensInATextAreText) {
  directory_.write("a.txt", "<s></s><|turn|>a <s>");
  const auto w = windows({"a.txt"}, 20, 0, 20);
  ASSERT_TRUE(w) << error_of(w);
  EXPECT_THAT(w->ids, ::testing::Each(::testing::Lt(256)));
}

TEST_F(WindowsTest, CarryTheFingerprintsOfTheirTexts) {
  const std::string text =
      "The first sentence is long enough. So is the second one of them! And a third one, which ends a "
      "line?\n";
  directory_.write("a.txt", text);
  const auto w = windows({"a.txt"}, 16);
  ASSERT_TRUE(w) << error_of(w);
  EXPECT_EQ(w->text.fingerprints.size(), 3U);
  EXPECT_EQ(runtime::share_known(text, w->text.fingerprints), 1.0);
}

TEST(DefaultText, IsUtf8AndMakesTheTokensOfADefaultRun) {
  const std::string_view text = default_calibration_text();
  const auto ids = byte_tokenizer().encode(text, {.add_special = false, .parse_special = false});
  ASSERT_TRUE(ids) << error_of(ids);  // which it is not for what is not UTF-8
  EXPECT_EQ(ids->size(), text.size());
  // A vocabulary of 128k entries makes a token of four bytes, roughly.
  EXPECT_GE(text.size() / 4, CalibrationText().tokens);
  const auto windows = calibration_windows({}, byte_tokenizer(), 512);
  ASSERT_TRUE(windows) << error_of(windows);
  EXPECT_EQ(windows->ids.size(), CalibrationText().tokens);
  EXPECT_EQ(windows->text.text, "the built-in text (65536 tokens)");
}

// --- ActivationStore ------------------------------------------------------------------------------------

std::vector<float> numbers(std::size_t n) {
  std::vector<float> out(n);
  for (std::size_t i = 0; i < n; ++i) out[i] = static_cast<float>(i) * 0.25F;
  return out;
}

TEST(ActivationStore, TakesFromTheBudgetAndThenFromTheDisk) {
  const TempDir folder;
  std::size_t budget = 100 * 8 * 4 + 40;
  const auto first = ActivationStore::create(100, 8, budget, folder.path());
  ASSERT_TRUE(first) << error_of(first);
  EXPECT_TRUE(first->in_memory());
  EXPECT_EQ(budget, 40U);
  const auto second = ActivationStore::create(100, 8, budget, folder.path());
  ASSERT_TRUE(second) << error_of(second);
  EXPECT_FALSE(second->in_memory());
  EXPECT_EQ(budget, 40U);
  const auto third = ActivationStore::create(5, 2, budget, folder.path());
  ASSERT_TRUE(third) << error_of(third);
  EXPECT_TRUE(third->in_memory());
  EXPECT_EQ(budget, 0U);
  EXPECT_TRUE(fs::is_empty(folder.path()));  // the file has no name: nothing is left by whatever end
}

TEST(ActivationStore, AFolderThatIsNotThereIsNamed) {
  std::size_t budget = 0;
  EXPECT_THAT(error_of(ActivationStore::create(1, 1, budget, "/nonexistent/folder")),
              HasSubstr("/nonexistent/folder"));
}

TEST(ActivationStore, MemoryAndFileGiveBackWhatWasWritten) {
  const TempDir folder;
  for (const std::size_t memory : {std::size_t{0}, SIZE_MAX}) {
    std::size_t budget = memory;
    auto created = ActivationStore::create(10, 3, budget, folder.path());
    ASSERT_TRUE(created) << error_of(created);
    ActivationStore store = *std::move(created);
    EXPECT_EQ(store.in_memory(), memory != 0);
    EXPECT_EQ(store.width(), 3U);
    const std::vector<float> rows = numbers(30);
    ASSERT_TRUE(store.write(0, rows));
    ASSERT_TRUE(store.write(4, std::span(rows).first(6)));  // rows 4 and 5 again
    std::vector<float> got(30, -1.0F);
    ASSERT_TRUE(store.read(0, got));
    std::vector<float> expected = rows;
    std::copy_n(rows.begin(), 6, expected.begin() + 12);
    EXPECT_EQ(got, expected);
    std::vector<float> last(3);
    ASSERT_TRUE(store.read(9, last));
    EXPECT_THAT(last, ElementsAreArray(rows.end() - 3, rows.end()));
    EXPECT_TRUE(store.write(10, {}));
    EXPECT_TRUE(store.read(10, {}));
  }
}

TEST(ActivationStore, DifferentRowsFromDifferentThreads) {
  const TempDir folder;
  constexpr std::size_t kTokens = 4096;
  constexpr std::size_t kWidth = 16;
  runtime::ThreadPool pool(4);
  for (const std::size_t memory : {std::size_t{0}, SIZE_MAX}) {
    std::size_t budget = memory;
    auto store = ActivationStore::create(kTokens, kWidth, budget, folder.path());
    ASSERT_TRUE(store) << error_of(store);
    const std::vector<float> rows = numbers(kTokens * kWidth);
    std::atomic<int> failures = 0;
    pool.run(kTokens, 1, [&](std::size_t begin, std::size_t end, std::size_t) {
      std::vector<float> back(kWidth);
      for (std::size_t t = begin; t < end; ++t) {
        const auto row = std::span(rows).subspan(t * kWidth, kWidth);
        if (!store->write(t, row) || !store->read(t, back) || !std::ranges::equal(row, back)) ++failures;
      }
    });
    EXPECT_EQ(failures, 0);
    std::vector<float> all(rows.size());
    ASSERT_TRUE(store->read(0, all));
    EXPECT_EQ(all, rows);
  }
}

// --- WorkFolder -----------------------------------------------------------------------------------------

FittedLayer some_layer(unsigned seed = 1) {
  std::mt19937 random(seed);
  FittedLayer layer;
  for (std::size_t i = 0; i < 7; ++i) {
    FittedLinear f;
    f.matrix = LevelMatrix::zeros(2, i == 6 ? 130 : 4, 1 + i % 3);  // 130: two groups
    const int largest[] = {1, 4, 13};
    for (std::int8_t& level : f.matrix.levels) {
      const int most = largest[i % 3];
      level =
          static_cast<std::int8_t>(static_cast<int>(random() % static_cast<unsigned>(2 * most + 1)) - most);
    }
    for (float& s : f.matrix.scales) s = 0.1F * static_cast<float>(1 + random() % 100);
    f.rotation_block = i == 6 ? 2 : i % 2 == 0 ? 4 : 1;
    f.rotation_seed = static_cast<std::uint32_t>(i);
    f.relative_error = 0.1 / (1.0 + static_cast<double>(i));
    f.plain_rows = i;
    layer.linears.push_back(std::move(f));
  }
  for (std::size_t i = 0; i < std::size(layer.damping); ++i)
    layer.damping[i] = 0.01 * static_cast<double>(i + 1);
  layer.seconds = 1.0 / 3.0;
  return layer;
}

class WorkFolderTest : public ::testing::Test {
 protected:
  [[nodiscard]] WorkFolder open(const std::string& settings = "alpha\nmore\n", bool resume = false) const {
    auto folder = WorkFolder::open(directory_.file("m.gguf"), settings, resume);
    EXPECT_TRUE(folder) << error_of(folder);
    return *std::move(folder);
  }
  [[nodiscard]] static std::string layer_file(const WorkFolder& folder, std::size_t layer) {
    return fmt::format("{}/layer-{:04}", folder.path(), layer);
  }
  static void put(const std::string& path, std::string_view bytes) {
    std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }

  TempDir directory_;
};

TEST_F(WorkFolderTest, GivesBackWhatWasSaved) {
  const WorkFolder folder = open();
  EXPECT_EQ(folder.path(), directory_.file("m.gguf.calibration"));
  const FittedLayer saved = some_layer();
  ASSERT_TRUE(folder.save(0, saved));
  const auto loaded = folder.load(0);
  ASSERT_TRUE(loaded) << error_of(loaded);
  ASSERT_EQ(loaded->linears.size(), saved.linears.size());
  for (std::size_t i = 0; i < saved.linears.size(); ++i) {
    const FittedLinear& a = saved.linears[i];
    const FittedLinear& b = loaded->linears[i];
    EXPECT_EQ(a.matrix.rows, b.matrix.rows);
    EXPECT_EQ(a.matrix.columns, b.matrix.columns);
    EXPECT_EQ(a.matrix.planes, b.matrix.planes);
    EXPECT_EQ(a.matrix.levels, b.matrix.levels);
    EXPECT_EQ(a.matrix.scales, b.matrix.scales);
    EXPECT_EQ(a.rotation_block, b.rotation_block);
    EXPECT_EQ(a.rotation_seed, b.rotation_seed);
    EXPECT_EQ(a.relative_error, b.relative_error);
    EXPECT_EQ(a.plain_rows, b.plain_rows);
  }
  EXPECT_THAT(loaded->damping, ElementsAreArray(saved.damping));
  EXPECT_EQ(loaded->seconds, saved.seconds);
}

TEST_F(WorkFolderTest, AFlippedByteAnywhereIsRefused) {
  const WorkFolder folder = open();
  ASSERT_TRUE(folder.save(0, some_layer()));
  const std::string path = layer_file(folder, 0);
  const std::string whole = testing::read_file(path);
  ASSERT_GT(whole.size(), 100U);
  for (std::size_t i = 0; i < whole.size(); ++i) {
    std::string bytes = whole;
    bytes[i] = static_cast<char>(bytes[i] ^ (1 << (i % 8)));
    put(path, bytes);
    const auto loaded = folder.load(0);
    ASSERT_FALSE(loaded) << "byte " << i << " of " << whole.size();
    ASSERT_THAT(loaded.error().message, HasSubstr(path + ": is damaged; delete it")) << i;
  }
  put(path, whole);
  EXPECT_TRUE(folder.load(0));
}

TEST_F(WorkFolderTest, FilesOfAnotherLengthAreRefused) {
  const WorkFolder folder = open();
  ASSERT_TRUE(folder.save(0, some_layer()));
  const std::string path = layer_file(folder, 0);
  const std::string whole = testing::read_file(path);
  for (std::size_t n = 0; n < whole.size(); ++n) {
    put(path, whole.substr(0, n));
    ASSERT_THAT(error_of(folder.load(0)), HasSubstr(path)) << n;
  }
  put(path, whole + '\0');
  EXPECT_THAT(error_of(folder.load(0)), HasSubstr("is damaged"));
  EXPECT_THAT(error_of(folder.load(7)), HasSubstr(layer_file(folder, 7)));  // not there at all
}

// A file whose checksum is right is not trusted for that: what follows would read beyond seven linears, or
// rotate by a block that does not divide the columns.
TEST_F(WorkFolderTest, NumbersThatNoFitMakesAreRefused) {
  const WorkFolder folder = open();
  const auto refused = [&](const auto& change) {
    FittedLayer layer = some_layer();
    change(layer);
    EXPECT_TRUE(folder.save(0, layer));
    EXPECT_THAT(error_of(folder.load(0)), HasSubstr("is damaged"));
  };
  refused([](FittedLayer& l) { l.linears.pop_back(); });
  refused([](FittedLayer& l) { l.linears.push_back(l.linears.front()); });
  refused([](FittedLayer& l) { l.linears[0].matrix.levels[3] = 2; });    // of one plane
  refused([](FittedLayer& l) { l.linears[2].matrix.levels[3] = -14; });  // of three
  refused([](FittedLayer& l) { l.linears[2].matrix.levels[3] = -128; });
  refused([](FittedLayer& l) { l.linears[1].matrix.scales[0] = -1.0F; });
  refused([](FittedLayer& l) { l.linears[1].matrix.scales[0] = std::numeric_limits<float>::quiet_NaN(); });
  refused([](FittedLayer& l) { l.linears[1].matrix.scales[0] = std::numeric_limits<float>::infinity(); });
  refused([](FittedLayer& l) { l.linears[6].rotation_block = 4; });  // of 130 columns
  refused([](FittedLayer& l) { l.linears[6].rotation_block = 65; });
  refused([](FittedLayer& l) { l.linears[6].rotation_block = 0; });
}

TEST_F(WorkFolderTest, CountsTheUnbrokenBeginning) {
  const WorkFolder folder = open();
  EXPECT_EQ(folder.finished_layers(), 0U);
  ASSERT_TRUE(folder.save(1, some_layer()));
  EXPECT_EQ(folder.finished_layers(), 0U);
  ASSERT_TRUE(folder.save(0, some_layer()));
  EXPECT_EQ(folder.finished_layers(), 2U);
  ASSERT_TRUE(folder.save(3, some_layer()));
  EXPECT_EQ(folder.finished_layers(), 2U);
  put(layer_file(folder, 2) + ".partial", "what a killed run leaves");
  EXPECT_EQ(folder.finished_layers(), 2U);
}

TEST_F(WorkFolderTest, ResumesOnlyWithTheSameSettings) {
  {
    const WorkFolder folder = open();
    ASSERT_TRUE(folder.save(0, some_layer()));
  }
  EXPECT_EQ(open("alpha\nmore\n", true).finished_layers(), 1U);
  const auto other = WorkFolder::open(directory_.file("m.gguf"), "beta\n", true);
  ASSERT_FALSE(other);
  EXPECT_THAT(other.error().message, HasSubstr("m.gguf.calibration"));
  EXPECT_THAT(other.error().message, HasSubstr("other settings (alpha)"));
  EXPECT_THAT(other.error().message, HasSubstr("leave out --resume"));
  EXPECT_EQ(open("alpha\nmore\n", true).finished_layers(), 1U);  // the refusal has not touched it
}

TEST_F(WorkFolderTest, WithoutResumeItBeginsAgain) {
  ASSERT_TRUE(open().save(0, some_layer()));
  const WorkFolder again = open();
  EXPECT_EQ(again.finished_layers(), 0U);
  EXPECT_FALSE(fs::exists(layer_file(again, 0)));
}

TEST_F(WorkFolderTest, ResumingWhereNothingLiesBegins) {
  EXPECT_EQ(open("alpha\n", true).finished_layers(), 0U);
  EXPECT_EQ(testing::read_file(directory_.file("m.gguf.calibration/settings.txt")), "alpha\n");
}

TEST_F(WorkFolderTest, RemoveLeavesNothing) {
  const WorkFolder folder = open();
  ASSERT_TRUE(folder.save(0, some_layer()));
  ASSERT_TRUE(folder.remove());
  EXPECT_TRUE(fs::is_empty(directory_.path()));
}

TEST_F(WorkFolderTest, WhatSomebodyElseHasThereIsNotDeleted) {
  const std::string mine = directory_.file("m.gguf.calibration");
  fs::create_directory(mine);
  put(mine + "/notes.txt", "keep me");
  for (const bool resume : {false, true}) {
    const auto folder = WorkFolder::open(directory_.file("m.gguf"), "alpha\n", resume);
    EXPECT_THAT(error_of(folder), HasSubstr("m.gguf.calibration: is not of a conversion"));
  }
  EXPECT_TRUE(fs::exists(mine + "/notes.txt"));
}

TEST_F(WorkFolderTest, AnOutputInAFolderThatIsNotThereIsRefused) {
  const auto folder = WorkFolder::open(directory_.file("nowhere/m.gguf"), "alpha\n", false);
  EXPECT_THAT(error_of(folder), HasSubstr("nowhere/m.gguf.calibration: cannot be made"));
  EXPECT_TRUE(fs::is_empty(directory_.path()));
}

}  // namespace
}  // namespace sterna::convert
