// Calibrated conversions as a whole: the same bytes however they are computed, going on after a stop, what is
// refused, and that the result is nearer to the float model than a conversion without text.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <set>

#include "convert/convert.h"
#include "convert/graph/load.h"
#include "convert/hf_model.h"
#include "runtime/fingerprints.h"
#include "tests/convert/calibrated_fixture.h"

namespace sterna::convert {
namespace {

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
  spilled.fit->calibration.memory =
      kContext * 24 * kHidden * sizeof(float) * 2;  // the residual streams fit, the inner ones do not
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
  for (int stop_after = 0; !finished && stop_after < 1000; stop_after += 2) {
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
  refused([](ConvertOptions& o) { o.fit->calibration.text.tokens = kContext * 16; });
  refused([](ConvertOptions& o) { o.planes = 1; });
  refused([](ConvertOptions& o) { o.fit->calibration.rotate = false; });
  refused([](ConvertOptions& o) { o.fit->calibration.fit.alpha = 0.0; });
  refused([&](ConvertOptions&) { work_.write("words.txt", sentences(kContext * 40, 2)); });
  work_.write("words.txt", sentences(kContext * 40, 1));
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
  EXPECT_EQ(runtime::share_known(sentences(kContext * 40, 1), known), 1.0);
  EXPECT_EQ(runtime::share_known(sentences(kContext * 40, 9), known), 0.0);
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
  std::vector<float> basis(4 * kHidden);
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
  TinyModel::Tensor head{{260, 32}, std::vector<float>(260 * kHidden)};
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
  const std::string unseen = sentences(kContext * 6, 77);
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
    values[values.size() > 'f' * kHidden ? 'e' * kHidden + 5 : 17] = std::numeric_limits<float>::quiet_NaN();
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
    for (const auto& row : log_probabilities(*loaded, sentences(kContext * 2, 3))) {
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

}  // namespace
}  // namespace sterna::convert
