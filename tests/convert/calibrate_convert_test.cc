// Calibrated conversions as a whole: the same bytes however they are computed, going on after a stop, what is
// refused, and that the result is nearer to the float model than a conversion without text.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <map>
#include <random>
#include <set>

#include "convert/calibrate/work_folder.h"
#include "convert/convert.h"
#include "convert/graph/load.h"
#include "kernels/ternary_matmul/pack.h"
#include "runtime/file.h"
#include "runtime/fingerprints.h"
#include "runtime/model_file.h"
#include "tests/support/engine.h"
#include "tests/support/shared_data.h"
#include "tests/support/tiny_model.h"

namespace sterna::convert {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::TempDir;
using testing::test_kernels;
using testing::TinyModel;

template <class T>
std::string error_of(const Result<T>& result) {
  return result ? "no error" : result.error().message;
}

// Sentences of made-up words, the same words for every seed.
std::string sentences(std::size_t bytes, unsigned seed) {
  std::mt19937 letters(5);
  std::vector<std::string> words(60);
  for (std::string& word : words) {
    for (auto n = 2 + letters() % 6; n > 0; --n) word.push_back(static_cast<char>('a' + letters() % 26));
  }
  std::mt19937 random(seed);
  std::string text;
  while (text.size() < bytes) {
    for (auto n = 5 + random() % 8; n > 0; --n) text += words[random() % words.size()] + " ";
    text.back() = '.';
    text += random() % 5 == 0 ? "\n" : " ";
  }
  return text;
}

TinyModel::Tensor& tensor(TinyModel& model, const std::string& name) {
  const auto found = model.tensors.find(name);
  EXPECT_NE(found, model.tensors.end()) << name;
  return found->second;
}

// Where a checkpoint lies, its calibration text, and the files that are made of it.
class CalibratedConvertTest : public ::testing::Test {
 protected:
  CalibratedConvertTest() { work_.write("words.txt", sentences(64 * 40, 1)); }

  // 24 windows of the model's context, of which 3 are held out.
  [[nodiscard]] ConvertOptions options(std::size_t planes = 2) const {
    ConvertOptions o;
    o.planes = planes;
    o.fit.emplace();
    o.fit->calibration.text.files = {work_.file("words.txt")};
    o.fit->calibration.text.tokens = 64 * 24;
    o.fit->kernels = &test_kernels();
    return o;
  }
  [[nodiscard]] std::string output() const { return work_.file("m.gguf"); }
  [[nodiscard]] std::string folder() const { return output() + ".calibration"; }

  [[nodiscard]] Result<ConvertReport> convert(
      const ConvertOptions& o, std::size_t threads = 2,
      const std::function<bool()>& cancelled = [] { return false; }) const {
    runtime::ThreadPool pool(threads);
    return convert_directory(source_.path(), output(), o, pool, nullptr, cancelled);
  }
  [[nodiscard]] std::string bytes(const ConvertOptions& o, std::size_t threads = 2) const {
    const auto report = convert(o, threads);
    EXPECT_TRUE(report) << error_of(report);
    return testing::read_file(output());
  }

  TempDir source_;
  TempDir work_;
};

// --- the same bytes ---------------------------------------------------------------------------------------

TEST_F(CalibratedConvertTest, TheSameBytesAtAnyNumberOfThreads) {
  TinyModel().write(source_);
  for (const std::size_t planes : {1U, 2U, 3U}) {
    const std::string one = bytes(options(planes), 1);
    EXPECT_EQ(one, bytes(options(planes), 1)) << planes;
    EXPECT_EQ(one, bytes(options(planes), 2)) << planes;
    EXPECT_EQ(one, bytes(options(planes), 3)) << planes;
  }
}

TEST_F(CalibratedConvertTest, TheSameBytesWhereverActivationsLie) {
  TinyModel().write(source_);
  const std::string in_memory = bytes(options());
  ConvertOptions spilled = options();
  spilled.fit->calibration.memory = 0;
  EXPECT_EQ(in_memory, bytes(spilled));
  spilled.fit->calibration.memory = 64 * 24 * 32 * 4 * 2;  // the residual streams fit, the inner ones do not
  EXPECT_EQ(in_memory, bytes(spilled, 3));
}

TEST_F(CalibratedConvertTest, TheSeedAndTheTextDecideTheBytes) {
  TinyModel().write(source_);
  const std::string first = bytes(options());
  ConvertOptions other = options();
  other.fit->calibration.text.seed = 1;
  EXPECT_NE(first, bytes(other));
}

// --- stopping and going on --------------------------------------------------------------------------------

TEST_F(CalibratedConvertTest, StoppedInTheMiddleItGoesOnFromTheFinishedLayers) {
  TinyModel().write(source_);
  const std::string uninterrupted = bytes(options());
  fs::remove(output());

  ConvertOptions stopping = options();
  bool stop = false;
  stopping.fit->on_layer = [&](const CalibratedLayer& l) { stop = l.layer == 0; };
  const auto stopped = convert(stopping, 2, [&] { return stop; });
  ASSERT_FALSE(stopped);
  EXPECT_THAT(stopped.error().message,
              AllOf(HasSubstr("interrupted"), HasSubstr(folder()), HasSubstr("--resume")));
  EXPECT_FALSE(fs::exists(output()));
  EXPECT_FALSE(fs::exists(output() + ".partial"));
  EXPECT_TRUE(fs::exists(folder() + "/layer-0000"));
  EXPECT_FALSE(fs::exists(folder() + "/layer-0001"));

  ConvertOptions resuming = options();
  resuming.fit->calibration.resume = true;
  std::vector<bool> resumed;
  resuming.fit->on_layer = [&](const CalibratedLayer& l) {
    EXPECT_EQ(l.layer, resumed.size());
    EXPECT_EQ(l.layers, 2U);
    ASSERT_NE(l.fitted, nullptr);
    EXPECT_EQ(l.fitted->linears.size(), 7U);
    resumed.push_back(l.resumed);
  };
  EXPECT_EQ(uninterrupted, bytes(resuming, 3));
  EXPECT_THAT(resumed, ::testing::ElementsAre(true, false));
  EXPECT_FALSE(fs::exists(folder()));
}

// Stopped again and again, wherever it may be asked, it still comes to the same end.
TEST_F(CalibratedConvertTest, StoppedAnywhereItComesToTheSameBytes) {
  TinyModel().write(source_);
  const std::string uninterrupted = bytes(options());
  fs::remove(output());
  ConvertOptions resuming = options();
  resuming.fit->calibration.resume = true;
  bool finished = false;
  int stops = 0;
  for (int stop_after = 0; !finished && stop_after < 1000; ++stop_after) {
    int asked = 0;
    const auto report = convert(resuming, 2, [&] { return asked++ >= stop_after; });
    finished = report.ok();
    if (finished) break;
    ++stops;
    ASSERT_THAT(report.error().message, HasSubstr("interrupted"));
    ASSERT_FALSE(fs::exists(output()));
    ASSERT_FALSE(fs::exists(output() + ".partial"));
    ASSERT_TRUE(fs::exists(folder()));
  }
  ASSERT_TRUE(finished);
  EXPECT_GT(stops, 10);  // four families in each of two layers, and the tensors of the file
  EXPECT_EQ(uninterrupted, testing::read_file(output()));
  EXPECT_FALSE(fs::exists(folder()));
}

TEST_F(CalibratedConvertTest, OtherSettingsAreNotResumed) {
  TinyModel().write(source_);
  bool stop = false;
  ConvertOptions stopping = options();
  stopping.fit->on_layer = [&](const CalibratedLayer&) { stop = true; };
  ASSERT_FALSE(convert(stopping, 2, [&] { return stop; }));

  const auto refused = [&](const auto& change) {
    ConvertOptions other = options();
    other.fit->calibration.resume = true;
    change(other);
    EXPECT_THAT(error_of(convert(other)),
                AllOf(HasSubstr("other settings"), HasSubstr("leave out --resume")));
    EXPECT_TRUE(fs::exists(folder() + "/layer-0000"));
  };
  refused([](ConvertOptions& o) { o.fit->calibration.text.seed = 1; });
  refused([](ConvertOptions& o) { o.fit->calibration.text.tokens = 64 * 16; });
  refused([](ConvertOptions& o) { o.planes = 1; });
  refused([](ConvertOptions& o) { o.fit->calibration.rotate = false; });
  refused([](ConvertOptions& o) { o.fit->calibration.fit.alpha = 0.0; });
  refused([&](ConvertOptions&) { work_.write("words.txt", sentences(64 * 40, 2)); });
  work_.write("words.txt", sentences(64 * 40, 1));
  refused([&](ConvertOptions&) { TinyModel(2).write(source_); });
}

TEST_F(CalibratedConvertTest, ADamagedLayerIsNamedAndDeletingItHelps) {
  TinyModel().write(source_);
  const std::string uninterrupted = bytes(options());
  bool stop = false;
  ConvertOptions stopping = options();
  stopping.fit->on_layer = [&](const CalibratedLayer&) { stop = true; };
  ASSERT_FALSE(convert(stopping, 2, [&] { return stop; }));
  const std::string layer = folder() + "/layer-0000";
  fs::resize_file(layer, fs::file_size(layer) - 1);
  ConvertOptions resuming = options();
  resuming.fit->calibration.resume = true;
  EXPECT_THAT(error_of(convert(resuming)), HasSubstr(layer + ": is damaged; delete it"));
  fs::remove(layer);
  EXPECT_EQ(uninterrupted, bytes(resuming));
}

// --- what the file holds ----------------------------------------------------------------------------------

struct Stored {
  runtime::MappedFile file;
  runtime::StoredModel model;
  [[nodiscard]] const runtime::StoredModel::Tensor& at(const std::string& name) const {
    return *std::ranges::find(model.tensors, name, [](const auto& t) { return t.descriptor.name; });
  }
};

Stored stored(const std::string& path) {
  auto file = runtime::MappedFile::open(path);
  EXPECT_TRUE(file) << error_of(file);
  auto model = runtime::read_stored_model(file->bytes(), path);
  EXPECT_TRUE(model) << error_of(model);
  return {*std::move(file), *std::move(model)};
}

std::vector<std::int8_t> integers(const runtime::StoredModel::Tensor& t) {
  const kernels::TernaryView view = runtime::ternary_view(t.descriptor, t.bytes);
  std::vector<std::int8_t> out(view.rows * view.columns);
  for (std::size_t r = 0; r < view.rows; ++r) kernels::unpack_row(view, r, out.data() + r * view.columns);
  return out;
}

std::vector<float> scales(const runtime::StoredModel::Tensor& t) {
  const kernels::TernaryView view = runtime::ternary_view(t.descriptor, t.bytes);
  std::vector<float> out;
  for (std::size_t r = 0; r < view.rows; ++r) {
    for (std::size_t c = 0; c < view.columns; c += kernels::kGroupColumns)
      out.push_back(kernels::scale_at(view, r, c));
  }
  return out;
}

TEST_F(CalibratedConvertTest, TheFileSaysHowItCameAbout) {
  TinyModel().write(source_);
  const auto report = convert(options());
  ASSERT_TRUE(report) << error_of(report);
  EXPECT_EQ(report->source, "float, calibrated, 2 planes");
  EXPECT_EQ(report->fitted, 14U);
  ASSERT_TRUE(report->fit);
  EXPECT_EQ(report->fit->text.text, "words.txt (1536 tokens)");
  ASSERT_TRUE(report->fit->calibrated);
  EXPECT_EQ(report->fit->calibrated->tokens, 3U * 64U);
  EXPECT_GT(report->fit->calibrated->divergence, 0.0);
  EXPECT_FALSE(report->fit->recovered);
  EXPECT_FALSE(fs::exists(folder()));

  const auto model = runtime::load_model_file(output(), {}, testing::test_pool());
  ASSERT_TRUE(model) << error_of(model);
  EXPECT_EQ((*model)->calibration().text, "words.txt (1536 tokens)");
  const auto& known = (*model)->calibration().fingerprints;
  EXPECT_EQ(runtime::share_known(sentences(64 * 40, 1), known), 1.0);
  EXPECT_EQ(runtime::share_known(sentences(64 * 40, 9), known), 0.0);
}

// Columns 32 and 48: the largest powers of two that divide them.
TEST_F(CalibratedConvertTest, RotationsShowInTheDescriptors) {
  TinyModel().write(source_);
  ASSERT_TRUE(convert(options()));
  std::map<std::size_t, std::set<std::uint32_t>> seeds;
  for (const auto& t : stored(output()).model.tensors) {
    const bool linear = t.spec.is_linear();
    EXPECT_EQ(t.descriptor.rotation_block, !linear                      ? 0U
                                           : t.descriptor.columns == 48 ? 16U
                                                                        : 32U)
        << t.descriptor.name;
    if (linear) seeds[static_cast<std::size_t>(family_of(t.spec.role))].insert(t.descriptor.rotation_seed);
  }
  ASSERT_EQ(seeds.size(), kFamilies);
  for (const auto& [family, of_family] : seeds)
    EXPECT_EQ(of_family.size(), 1U);  // who share an input share R

  ConvertOptions plain = options();
  plain.fit->calibration.rotate = false;
  ASSERT_TRUE(convert(plain));
  for (const auto& t : stored(output()).model.tensors) EXPECT_EQ(t.descriptor.rotation_block, 0U);
}

// --- nearer to the float model ----------------------------------------------------------------------------

// A model whose inputs leave most directions empty: embeddings in 4 of 32 dimensions, which the residual
// stream keeps, because what blocks add is small beside them. A row of 32 integers then has 28 to choose
// freely: rounding to nearest leaves about 4/32 of its error in the directions that count (the error's own
// length does not depend on the input), while a fit to the inputs moves the error into the empty ones. So the
// fit must win by far at any seed; the head is a matrix of full rank, which sees all of the stream.
TinyModel low_rank_model() {
  TinyModel model(3);
  model.config["tie_word_embeddings"] = false;
  std::mt19937 random(17);
  std::normal_distribution<float> normal(0.0F, 1.0F);
  std::vector<float> basis(4 * 32);
  for (float& b : basis) b = normal(random);
  std::vector<float>& embedding = tensor(model, "model.embed_tokens.weight").values;
  for (std::size_t token = 0; token < 260; ++token) {
    float* row = embedding.data() + token * 32;
    std::fill_n(row, 32, 0.0F);
    for (std::size_t k = 0; k < 4; ++k) {
      const float x = normal(random);
      for (std::size_t i = 0; i < 32; ++i) row[i] += x * basis[k * 32 + i];
    }
  }
  TinyModel::Tensor head{{260, 32}, std::vector<float>(260 * 32)};
  for (float& h : head.values) h = 0.3F * normal(random);
  model.tensors["lm_head.weight"] = std::move(head);
  return model;
}

// Rows of ln softmax of a model on windows of a text.
std::vector<std::vector<double>> log_probabilities(const std::shared_ptr<const runtime::Model>& model,
                                                   const std::string& text) {
  const auto session = testing::new_session(model);
  const auto ids = model->tokenizer().encode(text, {.add_special = false, .parse_special = false});
  EXPECT_TRUE(ids) << error_of(ids);
  std::vector<std::vector<double>> rows;
  const auto add = [&](std::size_t, std::span<const float> logits) {
    const double largest = *std::ranges::max_element(logits);
    double sum = 0.0;
    for (const float l : logits) sum += std::exp(l - largest);
    std::vector<double>& row = rows.emplace_back();
    for (const float l : logits) row.push_back(l - largest - std::log(sum));
  };
  for (std::size_t at = 0; at + 64 <= ids->size(); at += 64) {
    session->rewind(0);
    EXPECT_TRUE(session->append(std::span(*ids).subspan(at, 64), add));
  }
  return rows;
}

// The mean KL(p || q) in nats.
double divergence(const std::vector<std::vector<double>>& p, const std::vector<std::vector<double>>& q) {
  EXPECT_EQ(p.size(), q.size());
  double sum = 0.0;
  for (std::size_t t = 0; t < p.size(); ++t) {
    for (std::size_t i = 0; i < p[t].size(); ++i) sum += std::exp(p[t][i]) * (p[t][i] - q[t][i]);
  }
  return sum / static_cast<double>(p.size());
}

TEST_F(CalibratedConvertTest, IsNearerToTheFloatModelThanWithoutText) {
  low_rank_model().write(source_);
  const std::string unseen = sentences(64 * 6, 77);
  const auto reference = load_hf_model(source_.path(), {}, testing::test_pool());
  ASSERT_TRUE(reference) << error_of(reference);
  const auto expected = log_probabilities(*reference, unseen);
  const auto distance = [&](ConvertOptions o) {
    o.embedding = EmbeddingForm::keep;  // so that all of the distance is the linears'
    EXPECT_TRUE(convert(o));
    const auto model = runtime::load_model_file(output(), {}, testing::test_pool());
    EXPECT_TRUE(model) << error_of(model);
    return divergence(expected, log_probabilities(*model, unseen));
  };
  for (const std::size_t planes : {1U, 2U, 3U}) {
    const double plain = distance({.planes = planes});
    const double calibrated = distance(options(planes));
    RecordProperty(fmt::format("planes_{}", planes), fmt::format("{:.3g} -> {:.3g}", plain, calibrated));
    EXPECT_LT(calibrated, 0.5 * plain) << planes;
  }
}

// --- what is refused --------------------------------------------------------------------------------------

TEST_F(CalibratedConvertTest, NumbersThatAreNoneAreNamed) {
  for (const char* name :
       {"model.layers.1.mlp.up_proj.weight", "model.layers.0.self_attn.q_proj.weight",
        "model.layers.1.input_layernorm.weight", "model.norm.weight", "model.embed_tokens.weight"}) {
    TinyModel model;
    auto& values = tensor(model, name).values;
    // Of the embedding the row of 'e', which the text has.
    values[values.size() > 32 * 101 ? 32 * 101 + 5 : 17] = std::numeric_limits<float>::quiet_NaN();
    model.write(source_);
    EXPECT_THAT(error_of(convert(options())), AllOf(HasSubstr(name), HasSubstr("nan"))) << name;
    EXPECT_FALSE(fs::exists(output()));
  }
}

TEST_F(CalibratedConvertTest, WhatIsTernaryAlreadyIsNotFittedAgain) {
  TinyModel model;
  std::vector<float>& values = tensor(model, "model.layers.1.mlp.gate_proj.weight").values;
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = 0.25F * static_cast<float>(static_cast<int>(i * i % 3) - 1);
  model.write(source_);
  const std::string error = error_of(convert(options()));
  EXPECT_THAT(error, AllOf(HasSubstr("model.layers.1.mlp.gate_proj.weight"), HasSubstr("is ternary already"),
                           HasSubstr("without --calibrate")));
  EXPECT_FALSE(fs::exists(output()));
  EXPECT_FALSE(fs::exists(folder()));
  ConvertOptions data_free = options();
  data_free.fit.reset();
  EXPECT_TRUE(convert(data_free));
}

TEST_F(CalibratedConvertTest, TextsThatCannotBeUsedLeaveNothing) {
  TinyModel().write(source_);
  ConvertOptions o = options();
  o.fit->calibration.text.files = {work_.file("nowhere.txt")};
  EXPECT_THAT(error_of(convert(o)), HasSubstr("nowhere.txt"));
  work_.write("short.txt", "Too short.");
  o.fit->calibration.text.files = {work_.file("short.txt")};
  EXPECT_THAT(error_of(convert(o)), HasSubstr("short.txt"));
  EXPECT_FALSE(fs::exists(folder()));
}

// Found before a long calibration, not after it.
TEST_F(CalibratedConvertTest, VocabularyAndTokenizerMustBelongTogether) {
  TinyModel model;
  model.tokenizer["model"]["vocab"][testing::byte_symbol('e')] = 400;
  model.write(source_);
  std::size_t layers = 0;
  ConvertOptions o = options();
  o.fit->on_layer = [&](const CalibratedLayer&) { ++layers; };
  EXPECT_THAT(error_of(convert(o)), AllOf(HasSubstr("400"), HasSubstr("260")));
  EXPECT_EQ(layers, 0U);
  EXPECT_FALSE(fs::exists(folder()));
}

TEST_F(CalibratedConvertTest, OptionsThatContradictSaySo) {
  TinyModel().write(source_);
  ConvertOptions o = options();
  o.planes.reset();
  o.keep_float = true;
  EXPECT_THAT(error_of(convert(o)), AllOf(HasSubstr("leave out --float"), HasSubstr("--calibrate")));
  o = options();
  o.fit->calibration.window = 1;
  EXPECT_THAT(error_of(convert(o)), HasSubstr("--window"));
  o.fit->calibration.window = 0;
  EXPECT_THAT(error_of(convert(o)), HasSubstr("--window"));
}

// --- degenerate weights -----------------------------------------------------------------------------------

TEST_F(CalibratedConvertTest, ZeroMatricesRowsAndEmbeddings) {
  TinyModel model;
  const auto clear = [&](const std::string& name, std::size_t begin, std::size_t end) {
    auto& values = tensor(model, name).values;
    std::fill(values.begin() + static_cast<std::ptrdiff_t>(begin * 32),
              values.begin() + static_cast<std::ptrdiff_t>(end * 32), 0.0F);
  };
  clear("model.layers.0.self_attn.q_proj.weight", 0, 32);
  clear("model.layers.0.self_attn.v_proj.weight", 0, 16);  // the input of o is zero: no moments at all
  clear("model.layers.1.mlp.gate_proj.weight", 3, 5);
  clear("model.layers.1.mlp.up_proj.weight", 0, 48);  // the input of down is zero
  clear("model.embed_tokens.weight", 'e', 'e' + 1);
  model.write(source_);
  for (const std::size_t planes : {1U, 3U}) {
    const auto report = convert(options(planes));
    ASSERT_TRUE(report) << error_of(report);
    EXPECT_TRUE(std::isfinite(report->mean_relative_error));
    const auto zeros = [&](const std::string& name, std::size_t begin, std::size_t end) {
      const Stored file = stored(output());
      const auto q = integers(file.at(name));
      const auto s = scales(file.at(name));
      for (std::size_t i = begin * 32; i < end * 32; ++i)
        EXPECT_EQ(static_cast<float>(q[i]) * s[i / 32], 0.0F) << name;
    };
    zeros("blk.0.attn_q.weight", 0, 32);
    zeros("blk.0.attn_v.weight", 0, 16);
    zeros("blk.1.ffn_gate.weight", 3, 5);
    zeros("blk.1.ffn_up.weight", 0, 48);
    const auto loaded = runtime::load_model_file(output(), {}, testing::test_pool());
    ASSERT_TRUE(loaded) << error_of(loaded);
    for (const auto& row : log_probabilities(*loaded, sentences(64 * 2, 3))) {
      EXPECT_TRUE(std::ranges::all_of(row, [](double x) { return std::isfinite(x); }));
    }
  }
}

TEST_F(CalibratedConvertTest, AFewWindowsAreEnough) {
  TinyModel().write(source_);
  ConvertOptions o = options();
  o.fit->calibration.text.tokens = 1;
  const auto report = convert(o);
  ASSERT_TRUE(report) << error_of(report);
  EXPECT_EQ(report->fit->text.text, "words.txt (64 tokens)");
  EXPECT_FALSE(report->fit->calibrated);  // none was left to be held out
}

// --- tuning afterwards ------------------------------------------------------------------------------------

TEST_F(CalibratedConvertTest, RecoveryTunesScalesAndGainsAndNothingElse) {
  TinyModel().write(source_);
  ASSERT_TRUE(convert(options()));
  const Stored before = stored(output());
  ConvertOptions o = options();
  o.fit->recover_steps = 3;
  const auto report = convert(o);
  ASSERT_TRUE(report) << error_of(report);
  ASSERT_TRUE(report->fit && report->fit->recovered);
  EXPECT_EQ(report->fit->recovered->steps, 3U);
  // Three small steps downhill, measured on text that they have not seen: best_step would be 0 if none
  // helped.
  EXPECT_GT(report->fit->recovered->best_step, 0U);
  EXPECT_LT(report->fit->recovered->best_loss, report->fit->recovered->start_loss);
  EXPECT_FALSE(fs::exists(folder()));
  const Stored after = stored(output());
  ASSERT_EQ(before.model.tensors.size(), after.model.tensors.size());
  for (std::size_t i = 0; i < before.model.tensors.size(); ++i) {
    const auto& a = before.model.tensors[i];
    const auto& b = after.model.tensors[i];
    const std::string& name = a.descriptor.name;
    ASSERT_EQ(name, b.descriptor.name);
    if (a.spec.is_linear()) {
      EXPECT_EQ(integers(a), integers(b)) << name;
      EXPECT_NE(scales(a), scales(b)) << name;
      EXPECT_EQ(a.descriptor.rotation_block, b.descriptor.rotation_block) << name;
      EXPECT_EQ(a.descriptor.rotation_seed, b.descriptor.rotation_seed) << name;
    } else {
      EXPECT_EQ(a.spec.is_vector(), !std::ranges::equal(a.bytes, b.bytes)) << name;
    }
  }
}

TEST_F(CalibratedConvertTest, RecoveryGivesTheSameBytesAtAnyNumberOfThreads) {
  TinyModel().write(source_);
  ConvertOptions o = options();
  o.fit->recover_steps = 3;
  const std::string one = bytes(o, 1);
  EXPECT_EQ(one, bytes(o, 2));
  EXPECT_EQ(one, bytes(o, 3));
}

TEST_F(CalibratedConvertTest, RecoveryGoesOnWhereItWasStopped) {
  TinyModel().write(source_);
  ConvertOptions o = options();
  o.fit->recover_steps = 3;
  const std::string uninterrupted = bytes(o);
  bool stop = false;
  o.fit->on_step = [&](const RecoverProgress& p) { stop = p.step == 2; };
  const auto stopped = convert(o, 2, [&] { return stop; });
  EXPECT_THAT(error_of(stopped), HasSubstr("interrupted"));
  o.fit->calibration.resume = true;
  std::vector<std::size_t> steps;
  o.fit->on_step = [&](const RecoverProgress& p) { steps.push_back(p.step); };
  std::vector<bool> resumed;
  o.fit->on_layer = [&](const CalibratedLayer& l) { resumed.push_back(l.resumed); };
  EXPECT_EQ(uninterrupted, bytes(o, 3));
  EXPECT_THAT(resumed, ::testing::ElementsAre(true, true));
  ASSERT_FALSE(steps.empty());
  EXPECT_GE(steps.front(), 2U);
}

// --- trained ternary models -------------------------------------------------------------------------------

TinyModel trained_model() {
  TinyModel model;
  model.config["quantization_config"] = {
      {"quant_method", "bitnet"}, {"linear_class", "autobitlinear"}, {"quantization_mode", "online"}};
  return model;
}

TEST_F(CalibratedConvertTest, ATrainedTernaryModelIsTunedWithItsTrits) {
  trained_model().write(source_);
  ASSERT_TRUE(convert({}));
  const Stored before = stored(output());
  ConvertOptions o = options();
  o.planes.reset();
  o.fit->recover_steps = 3;
  const auto report = convert(o);
  ASSERT_TRUE(report) << error_of(report);
  EXPECT_THAT(report->source, AllOf(HasSubstr("trained ternary"), HasSubstr("scales tuned")));
  ASSERT_TRUE(report->fit && report->fit->recovered);
  EXPECT_LE(report->fit->recovered->best_loss, report->fit->recovered->start_loss);
  EXPECT_FALSE(report->fit->calibrated);
  EXPECT_FALSE(fs::exists(folder()));
  const Stored after = stored(output());
  for (const auto& a : before.model.tensors) {
    if (!a.spec.is_linear()) continue;
    const auto& b = after.at(a.descriptor.name);
    EXPECT_EQ(integers(a), integers(b)) << a.descriptor.name;
    EXPECT_NE(scales(a), scales(b)) << a.descriptor.name;
    EXPECT_EQ(b.descriptor.rotation_block, 0U);
  }
  const auto model = runtime::load_model_file(output(), {}, testing::test_pool());
  ASSERT_TRUE(model) << error_of(model);
  EXPECT_FALSE((*model)->calibration().fingerprints.empty());
}

TEST_F(CalibratedConvertTest, ATrainedTernaryModelCannotBeCalibrated) {
  trained_model().write(source_);
  ConvertOptions o = options();
  EXPECT_THAT(error_of(convert(o)), HasSubstr("trained ternary"));
  o.planes.reset();
  EXPECT_THAT(error_of(convert(o)), AllOf(HasSubstr("trained ternary"), HasSubstr("nothing to calibrate"),
                                          HasSubstr("leave out --calibrate"), HasSubstr("--recover")));
  o.planes = 2;
  o.fit->recover_steps = 3;
  EXPECT_THAT(error_of(convert(o)), AllOf(HasSubstr("trained ternary"), HasSubstr("leave out --planes")));
  EXPECT_FALSE(fs::exists(output()));
  EXPECT_FALSE(fs::exists(folder()));
}

TEST_F(CalibratedConvertTest, TunesAPublishedTernaryModel) {
  const auto directory = testing::shared_data("models/stories260K-bitlinear");
  STERNA_NEEDS_SHARED(directory);
  const auto convert_stories = [&](const ConvertOptions& o) {
    const auto report = testing::convert_to(directory, output(), o);
    EXPECT_TRUE(report) << error_of(report);
    return stored(output());
  };
  const Stored exact = convert_stories({});
  ConvertOptions o = options();
  o.planes.reset();
  o.fit->recover_steps = 2;
  o.fit->calibration.text = {};
  o.fit->calibration.text.tokens = 2048;
  o.fit->calibration.window = 32;
  const Stored tuned = convert_stories(o);
  for (const auto& t : exact.model.tensors) {
    if (!t.spec.is_linear()) continue;
    EXPECT_EQ(integers(t), integers(tuned.at(t.descriptor.name))) << t.descriptor.name;
    EXPECT_NE(scales(t), scales(tuned.at(t.descriptor.name))) << t.descriptor.name;
  }
}

// transformers adds the biases of this form before it multiplies with the scale.
TEST_F(CalibratedConvertTest, BiasesOfAPackedModelAreThoseThatItsFileHolds) {
  TinyModel model;
  model.config["attention_bias"] = true;
  model.config["quantization_config"] = {{"quant_method", "bitnet"}, {"linear_class", "autobitlinear"}};
  const std::map<std::string, TinyModel::Tensor> floats = model.tensors;
  for (const auto& [name, t] : floats) {
    if (!name.ends_with("_proj.weight")) continue;
    for (float& w : model.tensors[name].values) w = w > 0.1F ? 1.0F : w < -0.1F ? -1.0F : 0.0F;
    model.tensors[name + "_scale"] = {{1}, {0.25F}};
    if (name.find("self_attn") == std::string::npos) continue;
    const std::string bias = name.substr(0, name.size() - 6) + "bias";
    model.tensors[bias] = {{t.shape[0]}, std::vector<float>(t.shape[0], 2.0F)};
  }
  model.write(source_);
  const auto hf = read_hf_model(source_.path());
  const auto checkpoint = Checkpoint::open(source_.path());
  ASSERT_TRUE(hf && checkpoint) << error_of(hf);
  const auto block = load_block_vectors(*checkpoint, *hf, 1);
  ASSERT_TRUE(block) << error_of(block);
  EXPECT_EQ(block->q.bias, std::vector<float>(32, 0.5F));
  EXPECT_EQ(block->attention_norm, std::vector<float>(32, 1.0F));
}

}  // namespace
}  // namespace sterna::convert
