// A quantised model whose group scales and norm gains are tuned while its trits stay as they are, and all
// these numbers as one vector.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "convert/graph/backward.h"
#include "convert/graph/block.h"
#include "convert/graph/levels.h"
#include "runtime/config.h"
#include "runtime/thread_pool.h"

namespace sterna::convert {

inline constexpr std::size_t kBlockLinears = 7;  // q, k, v, o, gate, up, down

struct TunableBlock {
  // Of a linear with levels `weight` is empty; it is there only while the block is computed. rows, columns
  // and bias are set for all.
  BlockWeights weights;
  std::array<LevelMatrix, kBlockLinears> levels;  // no rows: the linear is dense, and not tuned
};

struct TunableModel {
  runtime::ModelConfig config;
  std::span<const float> embedding;  // [vocab, hidden], as the file will hold it; not tuned
  std::span<const float> head;       // [vocab, hidden]; the embedding when tied; not tuned
  std::vector<float> norm;           // [hidden], before the head
  std::vector<TunableBlock> blocks;
};

// While it exists, the block's linears have the weights of their levels. The memory is the caller's, so that
// it is that of one block for a whole model.
class DenseBlock {
 public:
  using Buffers = std::array<std::vector<float>, kBlockLinears>;
  DenseBlock(TunableBlock& block, Buffers& buffers, runtime::ThreadPool& pool);
  ~DenseBlock();
  DenseBlock(const DenseBlock&) = delete;
  DenseBlock& operator=(const DenseBlock&) = delete;

 private:
  void swap();
  TunableBlock& block_;
  Buffers& buffers_;
};

// The tuned numbers of a model in one order: norm gains as they are, and for every group scale v in
//     s = start s * exp(v),
// so that a scale keeps its sign, and one of 0 stays 0.
class ParameterMap {
 public:
  enum class Kind : std::uint8_t { gain, log_scale };
  struct Piece {
    Kind kind;
    std::size_t begin;
    std::vector<float>* values;  // in the model
  };

  // The model as it is now is the start, scales rounded as its file will hold them. It must outlive the map
  // and keep its shapes.
  explicit ParameterMap(TunableModel& model);

  [[nodiscard]] std::size_t size() const { return start_.size(); }
  [[nodiscard]] std::span<const Piece> pieces() const { return pieces_; }
  // gains, and scales (not their logarithms)
  [[nodiscard]] std::span<const float> start() const { return start_; }
  // What apply() takes for the model to be as it was at the start, bit for bit.
  [[nodiscard]] std::vector<float> start_values() const;
  // Puts values into the model, scales rounded as its file will hold them (LevelMatrix::round_scales). Scales
  // of a matrix that f16 can hold stay within what it can hold.
  void apply(std::span<const float> values);

  // Where in a vector of size() the derivatives are to be added.
  [[nodiscard]] BlockGradient block_gradient(std::size_t block, std::span<float> gradient) const;
  [[nodiscard]] std::span<float> norm_gradient(std::span<float> gradient) const;

 private:
  void add_piece(Kind kind, std::vector<float>& values);

  TunableModel& model_;
  std::vector<Piece> pieces_;
  std::vector<std::size_t> first_piece_;  // of each block
  std::vector<float> start_;
};

}  // namespace sterna::convert
