// What another program's file holds of a model, and what is refused because it could not.
#include "convert/export.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <filesystem>
#include <functional>
#include <set>

#include "convert/export_architecture.h"
#include "convert/export_tensor.h"
#include "convert/export_tokens.h"
#include "convert/packed_matrix.h"
#include "convert/save.h"
#include "kernels/dense_row/reference.h"
#include "kernels/lanes/half.h"
#include "kernels/ternary_matmul/pack.h"
#include "runtime/gguf.h"
#include "runtime/synthetic.h"
#include "tests/support/engine.h"
#include "tests/support/shared_data.h"
#include "tests/support/small_config.h"

namespace sterna::convert {
namespace {

using runtime::ModelConfig;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::TempDir;
using testing::test_pool;

bool never() { return false; }

ModelConfig wide_config(bool sub_norms) {
  ModelConfig c = testing::small_config();
  c.hidden = 256;
  c.heads = 4;
  c.kv_heads = 2;
  c.head_dim = 64;
  c.ffn = 512;
  c.sub_norms = sub_norms;
  c.model_type = sub_norms ? "bitnet" : "llama";
  return c;
}

// The random model of a configuration as a file.
std::string saved(const TempDir& folder, const ModelConfig& config, bool rotated = false) {
  const auto parts = runtime::synthetic_parts(config, test_pool(), rotated);
  EXPECT_TRUE(parts) << (parts ? "" : parts.error().message);
  const auto size = save_model(*parts, folder.file("model.gguf"), nullptr, never);
  EXPECT_TRUE(size) << (size ? "" : size.error().message);
  return folder.file("model.gguf");
}

TEST(Save, AModelInMemoryAndItsFileAreTheSame) {
  const TempDir folder;
  const auto memory = runtime::synthetic_model(testing::small_config(), test_pool());
  const auto file = runtime::load_model_file(saved(folder, testing::small_config()), {}, test_pool());
  ASSERT_TRUE(memory);
  ASSERT_TRUE(file) << file.error().message;
  const runtime::TokenId ids[] = {5, 70, 200, 13};
  auto a = testing::new_session(*memory);
  auto b = testing::new_session(*file);
  ASSERT_TRUE(a->append(ids));
  ASSERT_TRUE(b->append(ids));
  EXPECT_TRUE(std::ranges::equal(a->logits(), b->logits()));
  EXPECT_EQ((*file)->tokenizer().vocab_size(), 256U);
}

TEST(Save, AnInterruptedOneLeavesNothing) {
  const TempDir folder;
  const auto parts = runtime::synthetic_parts(testing::small_config(), test_pool());
  ASSERT_TRUE(parts);
  const auto size = save_model(*parts, folder.file("model.gguf"), nullptr, [] { return true; });
  ASSERT_FALSE(size);
  EXPECT_THAT(size.error().message, HasSubstr("interrupted"));
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

class ExportedFile {
 public:
  ExportedFile(const ModelConfig& config, const ExportOptions& options, bool rotated = false) {
    source_ = saved(folder_, config, rotated);
    const auto report = export_model(source_, folder_.file("out.gguf"), options, test_pool(), nullptr, never);
    EXPECT_TRUE(report) << (report ? "" : report.error().message);
    if (report) report_ = *report;
    bytes_ = testing::read_file(folder_.file("out.gguf"));
    auto gguf = runtime::Gguf::parse(std::as_bytes(std::span(bytes_)), "out.gguf");
    EXPECT_TRUE(gguf) << (gguf ? "" : gguf.error().message);
    gguf_.emplace(*std::move(gguf));
  }
  [[nodiscard]] const runtime::Gguf& gguf() const { return *gguf_; }
  [[nodiscard]] const ExportReport& report() const { return report_; }
  [[nodiscard]] std::span<const std::byte> data(std::string_view name) const {
    return gguf_->data(*gguf_->tensor(name));
  }
  [[nodiscard]] std::shared_ptr<const runtime::Model> model() const {
    return *runtime::load_model_file(source_, {}, test_pool());
  }

 private:
  TempDir folder_;
  std::string source_;
  std::string bytes_;
  ExportReport report_;
  std::optional<runtime::Gguf> gguf_;
};

// One weight of a TQ2_0 matrix by the definition.
double tq2_weight(std::span<const std::byte> data, std::size_t columns, std::size_t row, std::size_t c) {
  const auto* block = reinterpret_cast<const std::uint8_t*>(data.data()) + (row * columns + c) / 256 * 66;
  const std::size_t i = c % 256;
  const int trit = (block[i / 128 * 32 + i % 32] >> i % 128 / 32 * 2 & 3) - 1;
  return trit * kernels::reference_half(static_cast<std::uint16_t>(block[64] | block[65] << 8), 5);
}

double half_scale(const kernels::TernaryView& w) {
  return kernels::reference_half(kernels::float_to_f16(kernels::scale_at(w, 0, 0)), 5);
}

TEST(Export, TernaryMatricesKeepTheirTrits) {
  const ExportedFile file(wide_config(true), {});
  EXPECT_EQ(file.report().architecture, "bitnet");
  const auto model = file.model();
  const runtime::LayerWeights& layer = model->weights().layers[1];
  for (const auto& [name, linear] :
       {std::pair("blk.1.attn_q.weight", &layer.q), std::pair("blk.1.attn_v.weight", &layer.v),
        std::pair("blk.1.ffn_down.weight", &layer.down)}) {
    const kernels::TernaryView& w = linear->weight.trits;
    const double scale = half_scale(w);
    for (std::size_t r = 0; r < w.rows; ++r) {
      for (std::size_t c = 0; c < w.columns; ++c)
        ASSERT_EQ(tq2_weight(file.data(name), w.columns, r, c), scale * kernels::unpack(w, r, c)) << name;
    }
  }
}

// Elements 2i and 2i + 1 of a head of llama.cpp's llama are the elements i and i + 32 of a head of 64 here.
TEST(Export, LlamaRotatesAdjacentPairs) {
  const ExportedFile file(wide_config(false), {});
  EXPECT_EQ(file.report().architecture, "llama");
  const auto model = file.model();
  const kernels::TernaryView& k = model->weights().layers[0].k.weight.trits;
  const double scale = half_scale(k);
  for (std::size_t head = 0; head < 2; ++head) {
    for (std::size_t i = 0; i < 32; ++i) {
      for (std::size_t c = 0; c < 256; ++c) {
        const auto data = file.data("blk.0.attn_k.weight");
        ASSERT_EQ(tq2_weight(data, 256, head * 64 + 2 * i, c), scale * kernels::unpack(k, head * 64 + i, c));
        ASSERT_EQ(tq2_weight(data, 256, head * 64 + 2 * i + 1, c),
                  scale * kernels::unpack(k, head * 64 + 32 + i, c));
      }
    }
  }
}

TEST(Export, F16TakesAnyWidthAndRoundsOnce) {
  const ExportedFile file(testing::small_config(), {.type = ExportType::f16});
  const auto model = file.model();
  const kernels::TernaryView& w = model->weights().layers[0].down.weight.trits;
  const auto data = file.data("blk.0.ffn_down.weight");
  for (std::size_t i = 0; i < w.rows * w.columns; ++i) {
    std::uint16_t half = 0;
    std::memcpy(&half, data.data() + 2 * i, 2);
    const float exact =
        kernels::scale_at(w, 0, 0) * static_cast<float>(kernels::unpack(w, i / w.columns, i % w.columns));
    ASSERT_EQ(half, kernels::float_to_f16(exact));
  }
  EXPECT_EQ(file.gguf().tensor("token_embd.weight")->type, runtime::ggml_id::f16);
}

// W = W' R^T: the weight at column i is the sum over the block of W'[j] * H[j][i] * s[i].
TEST(Export, F16TurnsRotatedMatricesBack) {
  const ExportedFile file(testing::small_config(), {.type = ExportType::f16}, true);
  const auto model = file.model();
  const runtime::Linear& down = model->weights().layers[0].down;
  const kernels::TernaryView& w = down.weight.trits;
  ASSERT_EQ(down.rotation_block, 16U);
  const auto data = file.data("blk.0.ffn_down.weight");
  const double scale = kernels::scale_at(w, 0, 0);
  for (std::size_t r = 0; r < w.rows; ++r) {
    for (std::size_t i = 0; i < w.columns; ++i) {
      double sum = 0;
      for (std::size_t j = i / 16 * 16; j < i / 16 * 16 + 16; ++j) {
        const bool minus = std::popcount(i % 16 & j % 16) % 2 != 0;
        sum += (minus ? -scale : scale) * kernels::unpack(w, r, j);
      }
      const double exact = std::signbit(down.rotation[i]) ? -sum / 4 : sum / 4;
      std::uint16_t half = 0;
      std::memcpy(&half, data.data() + 2 * (r * w.columns + i), 2);
      // Half a step of f16. Before that the floats are exact up to 2^-19 of the block's norm, 4 scales: 4
      // stages and 2 products.
      ASSERT_NEAR(kernels::f16_to_float(half), exact, 0x1p-11 * std::fabs(exact) + 0x1p-19 * 4 * scale)
          << "row " << r << ", column " << i;
    }
  }
}

TEST(Export, TernaryTypesRefuseRotatedMatrices) {
  const TempDir folder;
  const TempDir target;
  const std::string file = saved(folder, wide_config(true), true);
  for (const ExportType type : {ExportType::tq2_0, ExportType::tq1_0}) {
    const auto report =
        export_model(file, target.file("out.gguf"), {.type = type}, test_pool(), nullptr, never);
    ASSERT_FALSE(report);
    EXPECT_THAT(report.error().message, HasSubstr("blk.0.attn_q.weight"));
    EXPECT_THAT(report.error().message,
                HasSubstr("rotation, which llama.cpp does not compute; use --to f16"));
    EXPECT_EQ(report.error().message.find('\n'), std::string::npos);
    EXPECT_TRUE(std::filesystem::is_empty(target.path()));
  }
}

TEST(Export, RowsWithoutATokenBecomeUnusedTokens) {
  const ExportedFile file(wide_config(true), {});
  const auto tokens = file.gguf().find("tokenizer.ggml.tokens")->as_strings();
  const auto types = file.gguf().find("tokenizer.ggml.token_type")->as_floats();
  ASSERT_EQ(tokens.size(), 300U);  // rows of the embedding; 256 bytes are tokens
  EXPECT_EQ(std::set(tokens.begin(), tokens.end()).size(), 300U);
  EXPECT_EQ(std::ranges::count(types, 5.0), 44);
  EXPECT_EQ(file.gguf().find("tokenizer.ggml.pre")->as_string(), "gpt-2");
}

TEST(Export, AnInterruptedOneLeavesNothing) {
  const TempDir source;
  const TempDir target;
  const std::string file = saved(source, wide_config(true));
  int asked = 0;
  const auto report =
      export_model(file, target.file("out.gguf"), {}, test_pool(), nullptr, [&] { return ++asked > 3; });
  ASSERT_FALSE(report);
  EXPECT_THAT(report.error().message, HasSubstr("interrupted"));
  EXPECT_TRUE(std::filesystem::is_empty(target.path()));
}

TEST(Export, AWidthThatIsNoMultipleOf256IsRefused) {
  const TempDir folder;
  const std::string file = saved(folder, testing::small_config());
  for (const ExportType type : {ExportType::tq2_0, ExportType::tq1_0}) {
    const auto report =
        export_model(file, folder.file("out.gguf"), {.type = type}, test_pool(), nullptr, never);
    ASSERT_FALSE(report);
    EXPECT_THAT(report.error().message, HasSubstr("multiples of 256; use --to f16"));
    EXPECT_FALSE(std::filesystem::exists(folder.file("out.gguf")));
  }
}

// A matrix of 16 rows and 256 columns as a file holds it, with a scale per row and 128 columns.
class GroupedMatrix {
 public:
  explicit GroupedMatrix(std::size_t planes = 1)
      : matrix_(PackedMatrix::zeros(16, 256, planes, kernels::kGroupColumns, kernels::ScaleType::f32)) {
    const std::vector<std::int8_t> ones(16 * 256, 1);
    matrix_.set_block(0, ones);
    for (std::size_t row = 0; row < 16; ++row) set_scales(row, 0.5F, 0.5F);
  }
  void set_scales(std::size_t row, float first, float second) {
    matrix_.set_scale(row, 0, first);
    matrix_.set_scale(row, 1, second);
  }
  void clear_second_half(std::size_t row) {
    std::vector<std::int8_t> k(16 * 256, 1);
    std::fill_n(k.begin() + static_cast<std::ptrdiff_t>(row * 256 + 128), 128, std::int8_t{0});
    matrix_.set_block(0, k);
  }
  [[nodiscard]] std::string check() {
    runtime::StoredModel::Tensor tensor{
        {runtime::Role::gate, runtime::Part::weight, 0, 16, 256, "blk.0.ffn_gate.weight"}, {}, {}};
    tensor.descriptor = {"blk.0.ffn_gate.weight", 16, 256, runtime::Layout::trit2, matrix_.planes, 128};
    bytes_.clear();  // 16 rows of two f32 scales need no padding up to 64
    const auto scales = matrix_.scales.bytes();
    const auto codes = matrix_.codes.bytes();
    bytes_.insert(bytes_.end(), scales.begin(), scales.end());
    bytes_.insert(bytes_.end(), codes.begin(), codes.end());
    tensor.bytes = bytes_;
    const Status status = ExportedTensor(tensor, runtime::ggml_id::tq2_0, 0).check();
    return status ? "" : status.error().message;
  }

 private:
  PackedMatrix matrix_;
  std::vector<std::byte> bytes_;
};

TEST(Export, GroupsAreExpressedWhereTwoShareAScale) {
  GroupedMatrix matrix;
  EXPECT_EQ(matrix.check(), "");
  matrix.set_scales(3, 0.25F, 0.25F);  // another row may have another one
  EXPECT_EQ(matrix.check(), "");
  matrix.set_scales(3, 0.25F, 0.75F);
  EXPECT_THAT(matrix.check(), HasSubstr("two scales in the 256 weights of row 3"));
  matrix.clear_second_half(3);  // zeros have no scale
  EXPECT_EQ(matrix.check(), "");
}

TEST(Export, ScalesThatF16CannotHoldAndSeveralPlanesAreRefused) {
  GroupedMatrix matrix;
  matrix.set_scales(5, 1e-6F, 1e-6F);
  EXPECT_THAT(matrix.check(), HasSubstr("cannot hold"));
  matrix.set_scales(5, 70000.0F, 70000.0F);
  EXPECT_THAT(matrix.check(), HasSubstr("cannot hold"));
  EXPECT_THAT(GroupedMatrix(2).check(), HasSubstr("2 trit planes"));
}

TEST(ExportArchitecture, WhatHasNoEqualIsNamed) {
  struct Case {
    std::function<void(ModelConfig&)> change;
    const char* word;
  };
  const Case bitnet[] = {
      {[](ModelConfig& c) { c.linear_norms = true; }, "inputs of single linears"},
      {[](ModelConfig& c) { c.sliding_window = 8; }, "window"},
      {[](ModelConfig& c) { c.qkv_bias = true; }, "biases"},
      {[](ModelConfig& c) { c.mlp_bias = true; }, "biases"},
      {[](ModelConfig& c) { c.tied_head = false; }, "head of its own"},
      {[](ModelConfig& c) { c.head_dim = 32; }, "wide as the model"},
      {[](ModelConfig& c) { c.rope.scaling = runtime::RopeScaling::llama3; }, "llama3 rope scaling"},
  };
  for (const Case& test : bitnet) {
    ModelConfig config = wide_config(true);
    test.change(config);
    const auto peer = peer_architecture(config, "m.gguf");
    ASSERT_FALSE(peer) << test.word;
    EXPECT_THAT(peer.error().message, HasSubstr(test.word));
  }
  ModelConfig config = wide_config(false);
  config.gate = runtime::Gate::relu2;
  EXPECT_FALSE(peer_architecture(config, "m.gguf"));
  config = wide_config(false);
  config.qk_norm = config.o_bias = true;
  EXPECT_FALSE(peer_architecture(config, "m.gguf"));
}

TEST(ExportArchitecture, WhatTheModelNeedsDecides) {
  ModelConfig config = wide_config(true);
  EXPECT_EQ(peer_architecture(config, "")->name, "bitnet");
  EXPECT_TRUE(peer_architecture(config, "")->notes.empty());
  config.gate = runtime::Gate::relu2;
  EXPECT_THAT(peer_architecture(config, "")->notes, ElementsAre(HasSubstr("SiLU")));
  config = wide_config(false);
  EXPECT_TRUE(peer_architecture(config, "")->adjacent_pairs);
  config.sliding_window = config.context;  // shows everything
  EXPECT_EQ(peer_architecture(config, "")->name, "llama");
  config.model_type = "qwen2";
  config.qkv_bias = true;
  EXPECT_EQ(peer_architecture(config, "")->name, "qwen2");
  config.o_bias = true;  // which qwen2 has no place for
  EXPECT_EQ(peer_architecture(config, "")->name, "llama");
  config = wide_config(false);
  config.qk_norm = true;
  EXPECT_EQ(peer_architecture(config, "")->name, "qwen3");
  EXPECT_FALSE(peer_architecture(config, "")->adjacent_pairs);
}

// Llama 3.1: long waves are slowed down by the factor, short ones not at all.
TEST(ExportArchitecture, Llama3ScalingBecomesFactors) {
  ModelConfig config = wide_config(false);
  config.rope = {500000.0, runtime::RopeScaling::llama3, 8.0, 1.0, 4.0, 8192};
  const auto factors = peer_architecture(config, "")->rope_factors;
  ASSERT_EQ(factors.size(), 32U);
  EXPECT_EQ(factors.front(), 1.0F);
  EXPECT_EQ(factors.back(), 8.0F);
  EXPECT_TRUE(std::ranges::is_sorted(factors));
}

TEST(ExportTokens, SplitsHaveTheirNames) {
  const auto named = [](const std::string& pre_tokenizer, const std::string& model = "{}") {
    return peer_pre_tokenizer(R"({"pre_tokenizer":)" + pre_tokenizer + R"(,"model":)" + model + "}");
  };
  const auto split = [](const std::string& digits) {
    return R"({"type":"Sequence","pretokenizers":[{"type":"Split","behavior":"Isolated","invert":false,)"
           R"("pattern":{"Regex":"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|)" +
           digits +
           R"(| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"}},)"
           R"({"type":"ByteLevel","add_prefix_space":false,"use_regex":false}]})";
  };
  EXPECT_EQ(named(split(R"(\\p{N}{1,3})"), R"({"ignore_merges":true})"), "llama-bpe");
  EXPECT_EQ(named(split(R"(\\p{N}{1,3})")), "smaug-bpe");
  EXPECT_EQ(named(split(R"(\\p{N})")), "qwen2");
  EXPECT_EQ(named(split(R"(\\p{N}{1,4})")), "");
  EXPECT_EQ(named(R"({"type":"ByteLevel","add_prefix_space":false,"use_regex":true})"), "gpt-2");
  EXPECT_EQ(named(R"({"type":"ByteLevel","add_prefix_space":true,"use_regex":true})"), "");
  EXPECT_EQ(named(R"({"type":"Sequence","pretokenizers":[{"type":"Digits","individual_digits":true},)"
                  R"({"type":"ByteLevel","add_prefix_space":false}]})"),
            "smollm");
  EXPECT_EQ(named("null"), "");
}

}  // namespace
}  // namespace sterna::convert
