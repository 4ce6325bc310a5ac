#include "runtime/model.h"

#include <sys/mman.h>
#include <sys/resource.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "runtime/format.h"

namespace sterna::runtime {

Model::Model(Parts parts, Tokenizer tokenizer, Result<ChatTemplate> chat_template, std::string where)
    : parts_(std::move(parts)),
      tokenizer_(std::move(tokenizer)),
      template_(std::move(chat_template)),
      where_(std::move(where)) {}

Result<std::shared_ptr<const Model>> Model::create(Parts parts, std::string where) {
  STERNA_TRY(Tokenizer tokenizer,
             Tokenizer::create(parts.text.tokenizer, parts.text.where.empty() ? where : parts.text.where));
  if (tokenizer.vocab_size() > parts.config.vocab) {
    return fail(
        "{}: the tokenizer has ids up to {}, but the embedding has only {} rows; the two do not belong "
        "together",
        where, tokenizer.vocab_size() - 1, parts.config.vocab);
  }
  parts.text.tokenizer = {};  // the tokenizer has its own tables; the lists would only double the memory
  auto chat_template = [&]() -> Result<ChatTemplate> {
    if (parts.text.chat_template.empty()) return fail("{}: the model has no chat template", where);
    return ChatTemplate::parse(parts.text.chat_template, where);
  }();
  return std::shared_ptr<const Model>(
      new Model(std::move(parts), std::move(tokenizer), std::move(chat_template), std::move(where)));
}

std::uint32_t Model::checksum() const {
  if (parts_.checksum != 0) return parts_.checksum;
  std::uint32_t crc = 0;
  for (const std::span<const std::byte> part : parts_.memory) crc = crc32_of(part, crc);
  return crc;
}

Status Model::lock_memory() const {
  for (const std::span<const std::byte> part : parts_.memory) {
    if (::mlock(part.data(), part.size()) == 0) continue;
    const int error = errno;
    const auto mebibytes = [](std::uint64_t bytes) { return static_cast<double>(bytes) / (1 << 20); };
    std::uint64_t wanted = 0;
    for (const std::span<const std::byte> each : parts_.memory) wanted += each.size();
    rlimit limit{};
    if (::getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur < wanted) {
      return fail(
          "cannot keep {:.0f} MiB of weights in memory: this process may lock {:.2f} MiB; a larger `ulimit "
          "-l` "
          "allows more",
          mebibytes(wanted), mebibytes(limit.rlim_cur));
    }
    return fail("cannot keep {:.0f} MiB of weights in memory: {}", mebibytes(wanted),
                std::generic_category().message(error));
  }
  return {};
}

WeightsBuilder::WeightsBuilder(const ModelConfig& config) : config_(config) {
  weights_.layers.resize(config.layers);
}

namespace {

// Layer: LayerWeights, or const.
template <class Layer>
auto linear_of(Layer& layer, Role role) -> decltype(&layer.q) {
  switch (role) {
    case Role::q:
      return &layer.q;
    case Role::k:
      return &layer.k;
    case Role::v:
      return &layer.v;
    case Role::o:
      return &layer.o;
    case Role::gate:
      return &layer.gate;
    case Role::up:
      return &layer.up;
    case Role::down:
      return &layer.down;
    default:
      return nullptr;
  }
}

template <class Layer>
auto gain_of(Layer& layer, Role role) -> decltype(&layer.attention_norm) {
  switch (role) {
    case Role::attention_norm:
      return &layer.attention_norm;
    case Role::q_norm:
      return &layer.q_norm;
    case Role::k_norm:
      return &layer.k_norm;
    case Role::attention_sub_norm:
      return &layer.attention_sub_norm;
    case Role::ffn_norm:
      return &layer.ffn_norm;
    case Role::ffn_sub_norm:
      return &layer.ffn_sub_norm;
    default:
      return nullptr;
  }
}

}  // namespace

void WeightsBuilder::set_matrix(const TensorSpec& spec, const Matrix& matrix) {
  assert(matrix.rows() == spec.rows && matrix.columns() == spec.columns);
  if (spec.role == Role::token_embedding) {
    weights_.embedding = DenseRows(matrix.dense);
  } else if (spec.role == Role::output) {
    weights_.output = DenseRows(matrix.dense);
  } else {
    linear_of(weights_.layers[static_cast<std::size_t>(spec.layer)], spec.role)->weight = matrix;
  }
}

void WeightsBuilder::set_rows(const TensorSpec& spec, const DenseRows& rows) {
  assert(spec.is_embedding() && rows.count() == spec.rows && rows.columns() == spec.columns);
  (spec.role == Role::output ? weights_.output : weights_.embedding) = rows;
}

void WeightsBuilder::set_vector(const TensorSpec& spec, const float* values) {
  if (spec.role == Role::output_norm) {
    weights_.output_norm = values;
    return;
  }
  LayerWeights& layer = weights_.layers[static_cast<std::size_t>(spec.layer)];
  if (Linear* linear = linear_of(layer, spec.role)) {
    (spec.part == Part::bias ? linear->bias : linear->norm) = values;
  } else {
    *gain_of(layer, spec.role) = values;
  }
}

void WeightsBuilder::set_rotation(const TensorSpec& spec, const float* factors, std::size_t block,
                                  std::uint32_t seed) {
  assert(spec.is_linear() && block > 0 && spec.columns % block == 0);
  Linear& linear = *linear_of(weights_.layers[static_cast<std::size_t>(spec.layer)], spec.role);
  linear.rotation = factors;
  linear.rotation_block = block;
  linear.rotation_seed = seed;
}

Weights WeightsBuilder::take() {
  if (config_.tied_head) weights_.output = weights_.embedding;
  return std::move(weights_);
}

Matrix matrix_of(const Weights& weights, const TensorSpec& spec) {
  if (spec.role == Role::token_embedding) return Matrix(weights.embedding.view());
  if (spec.role == Role::output) return Matrix(weights.output.view());
  return linear_of(weights.layers[static_cast<std::size_t>(spec.layer)], spec.role)->weight;
}

const float* vector_of(const Weights& weights, const TensorSpec& spec) {
  if (spec.role == Role::output_norm) return weights.output_norm;
  const LayerWeights& layer = weights.layers[static_cast<std::size_t>(spec.layer)];
  if (const Linear* linear = linear_of(layer, spec.role)) {
    return spec.part == Part::bias ? linear->bias : linear->norm;
  }
  return *gain_of(layer, spec.role);
}

const Linear* linear_of(const Weights& weights, const TensorSpec& spec) {
  return spec.layer < 0 ? nullptr
                        : linear_of(weights.layers[static_cast<std::size_t>(spec.layer)], spec.role);
}

}  // namespace sterna::runtime
