#include "runtime/synthetic.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "kernels/split_row/pack.h"
#include "runtime/aligned_buffer.h"
#include "runtime/rotation.h"
#include "runtime/tokenizer/byte_level.h"

namespace sterna::runtime {
namespace {

constexpr std::array<std::string_view, 4> kShapes = {"2b-4t", "0.7b", "3b", "8b"};

ModelConfig config_of(std::string_view shape) {
  ModelConfig c;
  c.model_type = "bitnet";
  c.name = "synthetic " + std::string(shape);
  c.context = 32768;  // random weights have no range that they were trained for
  c.sub_norms = true;
  c.tied_head = true;
  const auto size = [&](std::uint32_t hidden, std::uint32_t layers, std::uint32_t heads,
                        std::uint32_t kv_heads, std::uint32_t ffn, std::uint32_t vocab) {
    c.hidden = hidden;
    c.layers = layers;
    c.heads = heads;
    c.kv_heads = kv_heads;
    c.head_dim = hidden / heads;
    c.ffn = ffn;
    c.vocab = vocab;
  };
  if (shape == "2b-4t") {
    size(2560, 30, 20, 5, 6912, 128256);
    c.gate = Gate::relu2;
    c.rope.theta = 500000.0;
  } else if (shape == "0.7b") {
    size(1536, 24, 16, 16, 4096, 32002);
  } else if (shape == "3b") {
    size(3200, 26, 32, 32, 8640, 32002);
  } else {
    size(4096, 32, 32, 8, 14336, 128256);
    c.model_type = "llama";
    c.sub_norms = false;
    c.tied_head = false;
    c.rope.theta = 500000.0;
  }
  return c;
}

// Every byte is a token, named as byte-level vocabularies do.
Result<TokenizerSpec> byte_tokenizer() {
  nlohmann::json vocabulary = nlohmann::json::object();
  for (unsigned byte = 0; byte < 256; ++byte) {
    std::string name;
    tokenization::append_byte_characters(name, std::string(1, static_cast<char>(byte)));
    vocabulary[name] = byte;
  }
  const nlohmann::json byte_level = {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", false}};
  const nlohmann::json json = {
      {"version", "1.0"},
      {"added_tokens", nlohmann::json::array()},
      {"normalizer", nullptr},
      {"pre_tokenizer", byte_level},
      {"post_processor", nullptr},
      {"decoder", byte_level},
      {"model", {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", nlohmann::json::array()}}}};
  return split_spec(json.dump(), "synthetic tokenizer");
}

// SplitMix64 (Steele, Lea and Flood 2014): a number's bits well mixed, so that every position has its own.
std::uint64_t mixed(std::uint64_t x) {
  x += 0x9E3779B97F4A7C15U;
  x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9U;
  x = (x ^ x >> 27) * 0x94D049BB133111EBU;
  return x ^ x >> 31;
}

// Four codes of 0 .. 2: the base-3 digits of a number below 81.
std::array<std::uint8_t, 256> code_bytes() {
  std::array<std::uint8_t, 256> bytes{};
  for (unsigned i = 0; i < bytes.size(); ++i) {
    const unsigned n = i % 81;
    bytes[i] = static_cast<std::uint8_t>(n % 3 | n / 3 % 3 << 2 | n / 9 % 3 << 4 | n / 27 << 6);
  }
  return bytes;
}

constexpr std::uint32_t kRotationSeed = 1;

class Builder {
 public:
  Builder(const ModelConfig& config, ThreadPool& pool, bool rotated)
      : pool_(pool), builder_(config), rotated_(rotated) {
    parts_.config = config;
  }

  Result<Model::Parts> build() {
    std::uint64_t seed = 0;
    for (const TensorSpec& spec : tensor_list(parts_.config)) {
      STERNA_CHECK(spec.is_vector()   ? add_vector(spec)
                   : spec.is_linear() ? add_trits(spec, ++seed)
                                      : add_rows(spec, ++seed));
    }
    parts_.weights = builder_.take();
    parts_.source = rotated_ ? "random trits, rotated" : "random trits";
    STERNA_TRY(parts_.text.tokenizer, byte_tokenizer());
    return std::move(parts_);
  }

 private:
  template <class T>
  Result<T*> memory(std::size_t size) {
    STERNA_TRY(auto buffer, AlignedBuffer<T>::create(size, "a synthetic model"));
    auto owner = std::make_shared<AlignedBuffer<T>>(std::move(buffer));
    parts_.weight_bytes += size * sizeof(T);
    parts_.memory.push_back(std::as_bytes(owner->span()));
    T* data = owner->data();
    parts_.owners.push_back(std::move(owner));
    return data;
  }

  void fill(std::byte* bytes, std::size_t n, std::uint64_t seed, const std::array<std::uint8_t, 256>& table) {
    pool_.run(n, 64, [&](std::size_t begin, std::size_t end, std::size_t) {
      for (std::size_t at = begin; at < end; at += 8) {
        const std::uint64_t random = mixed(seed << 40 ^ at);
        for (std::size_t i = 0; i < 8 && at + i < end; ++i)
          bytes[at + i] = std::byte{table[random >> 8 * i & 0xFF]};
      }
    });
  }

  Status add_vector(const TensorSpec& spec) {
    STERNA_TRY(float* values, memory<float>(spec.columns));
    std::fill_n(values, spec.columns, 1.0F);
    builder_.set_vector(spec, values);
    return {};
  }

  Status add_trits(const TensorSpec& spec, std::uint64_t seed) {
    kernels::TernaryView view;
    view.rows = spec.rows;
    view.columns = spec.columns;
    STERNA_TRY(std::byte * codes, memory<std::byte>(view.code_bytes()));
    STERNA_TRY(float* scale, memory<float>(1));
    fill(codes, view.code_bytes(), seed, code_bytes());
    *scale =
        std::sqrt(1.5F / static_cast<float>(spec.columns));  // trits of variance 2/3: outputs of variance 1
    view.codes = reinterpret_cast<const std::uint8_t*>(codes);
    view.scales = scale;
    builder_.set_matrix(spec, Matrix(view));
    if (!rotated_) return {};
    const std::uint32_t block = spec.columns & ~(spec.columns - 1);  // its lowest bit
    return rotations_.set(spec, block, kRotationSeed, builder_, parts_.owners);
  }

  Status add_rows(const TensorSpec& spec, std::uint64_t seed) {
    kernels::SplitView view;
    view.rows = spec.rows;
    view.columns = spec.columns;
    STERNA_TRY(std::uint8_t * codes, memory<std::uint8_t>(view.code_bytes()));
    STERNA_TRY(float* scales, memory<float>(spec.rows));
    STERNA_TRY(float* bounds, memory<float>(spec.rows * kernels::kSplitBounds));
    std::array<std::uint8_t, 256> table{};
    for (unsigned i = 0; i < table.size(); ++i)
      table[i] = static_cast<std::uint8_t>(i == 128 ? 127 : i);  // no -128
    pool_.run(spec.rows, 1, [&](std::size_t begin, std::size_t end, std::size_t) {
      std::vector<std::int8_t> values(spec.columns);
      for (std::size_t row = begin; row < end; ++row) {
        for (std::size_t c = 0; c < values.size(); ++c) {
          const std::size_t at = row * values.size() + c;
          const std::uint64_t random = mixed(seed << 40 ^ at / 8 * 8);
          values[c] = static_cast<std::int8_t>(table[random >> at % 8 * 8 & 0xFF]);
        }
        kernels::pack_split_row(view, row, values.data(), codes + view.high_at(row),
                                codes + view.plane_at(0, 0), bounds);
      }
    });
    std::fill_n(scales, spec.rows, 1.0F / 73.0F);  // the deviation of -127 .. 127
    view.row_scales = scales;
    view.codes = codes;
    view.bounds = bounds;
    builder_.set_rows(spec, DenseRows(view));
    return {};
  }

  ThreadPool& pool_;
  Model::Parts parts_;
  WeightsBuilder builder_;
  bool rotated_;
  RotationFactors rotations_;
};

}  // namespace

std::span<const std::string_view> synthetic_shapes() { return kShapes; }

Result<Model::Parts> synthetic_parts(const ModelConfig& config, ThreadPool& pool, bool rotated) {
  STERNA_CHECK(validate(config, config.name));
  return Builder(config, pool, rotated).build();
}

Result<Model::Parts> synthetic_parts(std::string_view shape, ThreadPool& pool, bool rotated) {
  if (std::find(kShapes.begin(), kShapes.end(), shape) == kShapes.end()) {
    return fail("no synthetic shape is called '{}'; there are {}", shape, fmt::join(kShapes, ", "));
  }
  ModelConfig config = config_of(shape);
  if (rotated) config.name += " rotated";
  return synthetic_parts(config, pool, rotated);
}

Result<std::shared_ptr<const Model>> synthetic_model(const ModelConfig& config, ThreadPool& pool,
                                                     bool rotated) {
  STERNA_TRY(Model::Parts parts, synthetic_parts(config, pool, rotated));
  return Model::create(std::move(parts), config.name);
}

}  // namespace sterna::runtime
