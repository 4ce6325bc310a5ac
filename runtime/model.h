// A model: configuration, weights, tokenizer and chat template; immutable, shared between sessions.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "runtime/chat_template/chat_template.h"
#include "runtime/config.h"
#include "runtime/result.h"
#include "runtime/tensor_list.h"
#include "runtime/thread_pool.h"
#include "runtime/tokenizer/tokenizer.h"
#include "runtime/weights.h"

namespace sterna::runtime {

// What a model's files say about text.
struct TextParts {
  TokenizerSpec tokenizer;
  std::string chat_template;  // empty: none
  std::string bos_text;       // as templates print it; empty: none
  std::string eos_text;
  std::string where;  // the file that the tokenizer came from, for messages; empty: the model's
};

class Model {
 public:
  struct Parts {
    ModelConfig config;
    TextParts text;
    Weights weights;
    std::string source;              // how the weights came about, for people
    std::uint64_t weight_bytes = 0;  // of all tensors as stored
    std::uint32_t checksum = 0;      // StoredModel has these two; 0: not from a file
    std::uint32_t origin = 0;
    std::vector<std::span<const std::byte>> memory;  // where the tensors lie that are in memory
    std::vector<std::shared_ptr<void>> owners;       // keep alive what `weights` points into
  };
  // Builds the tokenizer; `where` names the file in messages. A template that does not parse is not an error
  // here (a model can be run without it): chat_template() tells.
  static Result<std::shared_ptr<const Model>> create(Parts parts, std::string where);

  [[nodiscard]] const ModelConfig& config() const { return parts_.config; }
  [[nodiscard]] const Weights& weights() const { return parts_.weights; }
  [[nodiscard]] const Tokenizer& tokenizer() const { return tokenizer_; }
  [[nodiscard]] const TextParts& text() const { return parts_.text; }
  [[nodiscard]] const std::string& source() const { return parts_.source; }
  [[nodiscard]] const std::string& where() const { return where_; }
  [[nodiscard]] std::uint64_t weight_bytes() const { return parts_.weight_bytes; }
  // Tells models apart by their weights: of a file the checksum in its header, else one of the tensors in
  // memory, which is computed here.
  [[nodiscard]] std::uint32_t checksum() const;
  [[nodiscard]] const Result<ChatTemplate>& chat_template() const { return template_; }

  // Keeps the weights in physical memory (mlock). An error names the limit that forbids it; the model can be
  // used all the same, and what was locked stays so.
  [[nodiscard]] Status lock_memory() const;

 private:
  Model(Parts parts, Tokenizer tokenizer, Result<ChatTemplate> chat_template, std::string where);
  Parts parts_;
  Tokenizer tokenizer_;
  Result<ChatTemplate> template_;
  std::string where_;
};

// Puts tensors into their places in Weights; the walk is tensor_list(config).
class WeightsBuilder {
 public:
  explicit WeightsBuilder(const ModelConfig& config);
  WeightsBuilder(const ModelConfig& config, Weights weights)  // to replace some
      : config_(config), weights_(std::move(weights)) {}
  void set_matrix(const TensorSpec& spec, const Matrix& matrix);
  void set_rows(const TensorSpec& spec, const DenseRows& rows);  // embedding or head
  void set_vector(const TensorSpec& spec, const float* values);
  void set_rotation(const TensorSpec& spec, const float* factors, std::size_t block, std::uint32_t seed);
  Weights take();  // ties the head where the configuration says so

 private:
  const ModelConfig& config_;
  Weights weights_;
};

// What set_matrix() and set_vector() put there, for who writes a model; `spec` is of the model's
// tensor_list().
Matrix matrix_of(const Weights& weights, const TensorSpec& spec);
const float* vector_of(const Weights& weights, const TensorSpec& spec);

// The linear that the tensor is part of, or nullptr.
const Linear* linear_of(const Weights& weights, const TensorSpec& spec);

struct LoadOptions {
  bool map = true;     // map the file; false: read it into memory
  bool verify = true;  // check every tensor's checksum, codes and scales
  // Leave embedding and head in the file and read their rows when they are needed; needs map.
  bool low_memory = false;
};

// A Sterna GGUF file, before it becomes a Model. The pool is used for verification.
Result<Model::Parts> load_parts(const std::string& path, const LoadOptions& options, ThreadPool& pool);

// The same as a Model.
Result<std::shared_ptr<const Model>> load_model_file(const std::string& path, const LoadOptions& options,
                                                     ThreadPool& pool);

}  // namespace sterna::runtime
