#include "convert/hf_model.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <map>

#include "convert/checkpoint.h"
#include "convert/encode.h"
#include "convert/hf_config.h"
#include "convert/hf_names.h"
#include "convert/matrix_source.h"
#include "runtime/aligned_buffer.h"
#include "runtime/file.h"
#include "runtime/format.h"

namespace sterna::convert {
namespace {

using runtime::Layout;
using runtime::Matrix;
using runtime::TensorSpec;

class Loader {
 public:
  Loader(const Checkpoint& checkpoint, const HfModel& model, const runtime::LoadOptions& options,
         runtime::ThreadPool& pool)
      : checkpoint_(checkpoint), model_(model), options_(options), pool_(pool) {}

  Result<runtime::Model::Parts> load() {
    runtime::WeightsBuilder builder(model_.config);
    for (const TensorSpec& spec : runtime::tensor_list(model_.config)) {
      const Layout layout = planned_layout(checkpoint_, model_, spec, kAsStored);
      if (spec.is_vector() || runtime::is_ternary(layout)) {
        STERNA_CHECK(load_owned(spec, builder));
      } else {
        STERNA_CHECK(load_dense(spec, layout, builder));
      }
    }
    parts_.weights = builder.take();
    parts_.config = model_.config;
    parts_.source =
        model_.quantization.form == TrainedForm::none
            ? "float, as stored"
            : std::string("trained ternary (") + trained_form_name(model_.quantization.form) + ")";
    return std::move(parts_);
  }

 private:
  static constexpr EncodeOptions kAsStored{std::nullopt, EmbeddingForm::keep};

  // Encodes the tensor as the converter would, into memory of our own.
  Status load_owned(const TensorSpec& spec, runtime::WeightsBuilder& builder) {
    std::vector<std::byte> bytes;
    STERNA_TRY(const Encoded encoded, encode_tensor(checkpoint_, model_, spec, kAsStored, pool_,
                                                    [&](std::span<const std::byte> piece) -> Status {
                                                      bytes.insert(bytes.end(), piece.begin(), piece.end());
                                                      return {};
                                                    }));
    STERNA_TRY(auto aligned, runtime::AlignedBuffer<std::byte>::create(bytes.size(), "weights"));
    std::memcpy(aligned.data(), bytes.data(), bytes.size());
    auto owner = std::make_shared<runtime::AlignedBuffer<std::byte>>(std::move(aligned));
    parts_.weight_bytes += owner->size();
    if (spec.is_vector()) {
      builder.set_vector(spec, reinterpret_cast<const float*>(owner->data()));
    } else {
      builder.set_matrix(spec, Matrix(runtime::ternary_view(encoded.descriptor, owner->span())));
    }
    parts_.memory.emplace_back(owner->span());
    parts_.owners.push_back(std::move(owner));
    return {};
  }

  // A float matrix straight from the mapping; copied only if the file has it at an odd address, or must be
  // read whole or widened.
  Status load_dense(const TensorSpec& spec, Layout layout, runtime::WeightsBuilder& builder) {
    STERNA_TRY(const StoredTensor* tensor, find_tensor(checkpoint_, model_, spec));
    runtime::TensorDescriptor d;
    d.name = spec.name;
    d.rows = spec.rows;
    d.columns = spec.columns;
    d.layout = layout;
    if (tensor->dtype == DType::f64 || tensor->offset % 4 != 0) return load_copy(spec, d, builder);
    if (options_.verify) STERNA_CHECK(check_finite(*tensor));
    STERNA_TRY(const std::span<const std::byte> file, mapped(checkpoint_.path_of(*tensor)));
    if (tensor->offset + tensor->bytes > file.size())
      return fail("{}: became shorter", checkpoint_.path_of(*tensor));
    parts_.weight_bytes += tensor->bytes;
    parts_.memory.push_back(file.subspan(tensor->offset, tensor->bytes));
    builder.set_matrix(spec, Matrix(runtime::dense_view(d, file.subspan(tensor->offset, tensor->bytes))));
    return {};
  }

  Status load_copy(const TensorSpec& spec, const runtime::TensorDescriptor& d,
                   runtime::WeightsBuilder& builder) {
    STERNA_TRY(const StoredTensor* tensor, find_tensor(checkpoint_, model_, spec));
    STERNA_TRY(auto values, runtime::AlignedBuffer<float>::create(d.weights(), "weights"));
    STERNA_CHECK(checkpoint_.read_floats(*tensor, 0, tensor->rows(), values.span()));
    kernels::DenseView view{d.rows, d.columns, kernels::DenseType::f32, values.data(), nullptr};
    auto owner = std::make_shared<runtime::AlignedBuffer<float>>(std::move(values));
    view.data = owner->data();
    parts_.weight_bytes += owner->size() * sizeof(float);
    parts_.memory.push_back(std::as_bytes(owner->span()));
    parts_.owners.push_back(std::move(owner));
    builder.set_matrix(spec, Matrix(view));
    return {};
  }

  Status check_finite(const StoredTensor& tensor) {
    STERNA_TRY(const MatrixSource source, matrix_source(checkpoint_, tensor));
    return for_each_row(source, pool_, [](std::size_t, std::span<const float>) -> Status { return {}; });
  }

  Result<std::span<const std::byte>> mapped(const std::string& path) {
    auto it = files_.find(path);
    if (it == files_.end()) {
      STERNA_TRY(runtime::MappedFile opened, runtime::MappedFile::open(path, options_.map));
      auto file = std::make_shared<runtime::MappedFile>(std::move(opened));
      parts_.owners.push_back(file);
      it = files_.emplace(path, std::move(file)).first;
    }
    return it->second->bytes();
  }

  const Checkpoint& checkpoint_;
  const HfModel& model_;
  const runtime::LoadOptions& options_;
  runtime::ThreadPool& pool_;
  runtime::Model::Parts parts_;
  std::map<std::string, std::shared_ptr<runtime::MappedFile>> files_;
};

}  // namespace

Result<std::shared_ptr<const runtime::Model>> load_hf_model(const std::string& directory,
                                                            const runtime::LoadOptions& options,
                                                            runtime::ThreadPool& pool) {
  if (options.low_memory) {
    return fail("{}: --low-memory needs a model file; make one with `sterna convert`", directory);
  }
  STERNA_TRY(HfModel model, read_hf_model(directory));
  STERNA_TRY(const Checkpoint checkpoint, Checkpoint::open(directory));
  STERNA_CHECK(check_tensors(checkpoint, model));
  STERNA_TRY(const std::string tokenizer_json, read_tokenizer_json(directory));
  STERNA_TRY(runtime::TokenizerSpec tokenizer,
             runtime::split_spec(tokenizer_json, directory + "/tokenizer.json"));
  STERNA_TRY(runtime::Model::Parts parts, Loader(checkpoint, model, options, pool).load());
  parts.text = {std::move(tokenizer), std::move(model.chat_template), std::move(model.bos_token),
                std::move(model.eos_token), directory + "/tokenizer.json"};
  return runtime::Model::create(std::move(parts), directory);
}

Result<std::shared_ptr<const runtime::Model>> load_model(const std::string& path,
                                                         const runtime::LoadOptions& options,
                                                         runtime::ThreadPool& pool) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) return load_hf_model(path, options, pool);
  return runtime::load_model_file(path, options, pool);
}

}  // namespace sterna::convert
