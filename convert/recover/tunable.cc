#include "convert/recover/tunable.h"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "kernels/views.h"

namespace sterna::convert {
namespace {

struct Gain {
  std::vector<float> BlockWeights::*values;
  std::span<float> BlockGradient::*gradient;
};
constexpr Gain kGains[] = {
    {&BlockWeights::attention_norm, &BlockGradient::attention_norm},
    {&BlockWeights::q_norm, &BlockGradient::q_norm},
    {&BlockWeights::k_norm, &BlockGradient::k_norm},
    {&BlockWeights::attention_sub_norm, &BlockGradient::attention_sub_norm},
    {&BlockWeights::ffn_norm, &BlockGradient::ffn_norm},
    {&BlockWeights::ffn_sub_norm, &BlockGradient::ffn_sub_norm},
};

struct Linear {
  DenseLinear BlockWeights::*weights;
  LinearGradient BlockGradient::*gradient;
};
constexpr Linear kLinears[kBlockLinears] = {
    {&BlockWeights::q, &BlockGradient::q},       {&BlockWeights::k, &BlockGradient::k},
    {&BlockWeights::v, &BlockGradient::v},       {&BlockWeights::o, &BlockGradient::o},
    {&BlockWeights::gate, &BlockGradient::gate}, {&BlockWeights::up, &BlockGradient::up},
    {&BlockWeights::down, &BlockGradient::down},
};

void dequantize_row(const LevelMatrix& m, std::size_t row, float* out) {
  const std::int8_t* levels = m.levels.data() + row * m.columns;
  for (std::size_t g = 0; g < m.groups(); ++g) {
    const float scale = m.scales[row * m.groups() + g];
    const std::size_t end = std::min(m.columns, (g + 1) * kernels::kGroupColumns);
    for (std::size_t c = g * kernels::kGroupColumns; c < end; ++c)
      out[c] = scale * static_cast<float>(levels[c]);
  }
}

// Normal numbers of f16; what is outside makes a file hold all scales of a matrix as f32.
constexpr float kSmallestScale = 0x1p-14F;
constexpr float kLargestScale = 65504.0F;

bool all_f16(std::span<const float> scales) {
  return std::ranges::all_of(
      scales, [](float s) { return s == 0.0F || (s >= kSmallestScale && s <= kLargestScale); });
}

}  // namespace

DenseBlock::DenseBlock(TunableBlock& block, Buffers& buffers, runtime::ThreadPool& pool)
    : block_(block), buffers_(buffers) {
  for (std::size_t i = 0; i < kBlockLinears; ++i) {
    const LevelMatrix& m = block.levels[i];
    if (m.rows == 0) continue;
    std::vector<float>& out = buffers[i];
    out.resize(m.rows * m.columns);
    pool.run(m.rows, 16, [&](std::size_t begin, std::size_t end, std::size_t) {
      for (std::size_t r = begin; r < end; ++r) dequantize_row(m, r, out.data() + r * m.columns);
    });
  }
  swap();
}

DenseBlock::~DenseBlock() { swap(); }

void DenseBlock::swap() {
  for (std::size_t i = 0; i < kBlockLinears; ++i) {
    if (block_.levels[i].rows != 0) std::swap((block_.weights.*kLinears[i].weights).weight, buffers_[i]);
  }
}

ParameterMap::ParameterMap(TunableModel& model) : model_(model) {
  add_piece(Kind::gain, model.norm);
  first_piece_.reserve(model.blocks.size());
  for (TunableBlock& block : model.blocks) {
    first_piece_.push_back(pieces_.size());
    for (const Gain& gain : kGains) add_piece(Kind::gain, block.weights.*gain.values);
    for (LevelMatrix& levels : block.levels) {
      levels.round_scales();
      add_piece(Kind::log_scale, levels.scales);
    }
  }
}

void ParameterMap::add_piece(Kind kind, std::vector<float>& values) {
  pieces_.push_back({kind, start_.size(), &values});
  start_.insert(start_.end(), values.begin(), values.end());
}

std::vector<float> ParameterMap::start_values() const {
  std::vector<float> values = start_;
  for (const Piece& piece : pieces_) {
    if (piece.kind == Kind::log_scale)
      std::fill_n(values.begin() + static_cast<std::ptrdiff_t>(piece.begin), piece.values->size(), 0.0F);
  }
  return values;
}

void ParameterMap::apply(std::span<const float> values) {
  assert(values.size() == size());
  for (const Piece& piece : pieces_) {
    const auto from = values.subspan(piece.begin, piece.values->size());
    if (piece.kind == Kind::gain) {
      std::ranges::copy(from, piece.values->begin());
      continue;
    }
    const auto start = std::span(start_).subspan(piece.begin, from.size());
    const bool clamped = all_f16(start);
    for (std::size_t i = 0; i < from.size(); ++i) {
      float scale = start[i] * std::exp(from[i]);
      if (clamped && start[i] != 0.0F) scale = std::clamp(scale, kSmallestScale, kLargestScale);
      (*piece.values)[i] = scale;
    }
  }
  for (TunableBlock& block : model_.blocks) {
    for (LevelMatrix& levels : block.levels) levels.round_scales();
  }
}

BlockGradient ParameterMap::block_gradient(std::size_t block, std::span<float> gradient) const {
  BlockGradient result;
  const Piece* piece = pieces_.data() + first_piece_[block];
  const auto next = [&] {
    const auto part = gradient.subspan(piece->begin, piece->values->size());
    ++piece;
    return part;
  };
  for (const Gain& gain : kGains) result.*gain.gradient = next();
  for (const Linear& linear : kLinears) (result.*linear.gradient).log_scales = next();
  return result;
}

std::span<float> ParameterMap::norm_gradient(std::span<float> gradient) const {
  return gradient.first(pieces_.front().values->size());
}

}  // namespace sterna::convert
