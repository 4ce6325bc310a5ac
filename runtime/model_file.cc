#include "runtime/model_file.h"

#include <algorithm>
#include <limits>
#include <unordered_map>

#include "runtime/aligned_buffer.h"
#include "runtime/config_keys.h"
#include "runtime/rotation.h"
#include "runtime/verify.h"

namespace sterna::runtime {
namespace {

// Fills a ModelConfig from metadata; remembers the first key that is missing or has the wrong type.
class ConfigReader {
 public:
  explicit ConfigReader(const Gguf& gguf) : gguf_(gguf) {}

  void operator()(std::string_view key, std::string& field) {
    take(key, [&](const GgufValue& v) {
      const auto text = v.as_string();
      if (text) field = *text;
      return text.has_value();
    });
  }
  void operator()(std::string_view key, std::uint32_t& field) {
    take(key, [&](const GgufValue& v) {
      const auto n = v.as_uint();
      if (!n || *n > std::numeric_limits<std::uint32_t>::max()) return false;
      field = static_cast<std::uint32_t>(*n);
      return true;
    });
  }
  void operator()(std::string_view key, bool& field) {
    take(key, [&](const GgufValue& v) {
      field = v.as_bool().value_or(false);
      return v.as_bool().has_value();
    });
  }
  void operator()(std::string_view key, double& field) {
    take(key, [&](const GgufValue& v) {
      field = v.as_float().value_or(0.0);
      return v.as_float().has_value();
    });
  }
  void operator()(std::string_view key, float& field) {
    double wide = field;
    (*this)(key, wide);
    field = static_cast<float>(wide);
  }
  template <class Enum, std::size_t N>
  void choice(std::string_view key, Enum& field, const std::string_view (&names)[N]) {
    take(key, [&](const GgufValue& v) {
      const auto text = v.as_string();
      const auto* const it = std::find(std::begin(names), std::end(names), text.value_or(""));
      if (it == std::end(names)) return false;
      field = static_cast<Enum>(it - std::begin(names));
      return true;
    });
  }

  [[nodiscard]] Status status() const {
    if (missing_.empty()) return {};
    return fail("{}: metadata key '{}' is missing or not what this version expects; convert the model again",
                gguf_.where(), missing_);
  }

 private:
  template <class Read>
  void take(std::string_view key, Read read) {
    const GgufValue* value = gguf_.find(key);
    if ((value == nullptr || !read(*value)) && missing_.empty()) missing_ = key;
  }
  const Gguf& gguf_;
  std::string missing_;
};

std::string string_key(const Gguf& gguf, std::string_view key) {
  const GgufValue* value = gguf.find(key);
  return value == nullptr ? std::string() : std::string(value->as_string().value_or(""));
}

std::vector<std::string> strings_key(const Gguf& gguf, std::string_view key) {
  const GgufValue* value = gguf.find(key);
  if (value == nullptr) return {};
  const auto views = value->as_strings();
  return {views.begin(), views.end()};
}

Status check_header(const Gguf& gguf, std::span<const std::byte> file) {
  const std::string architecture = string_key(gguf, key::architecture);
  if (architecture != kArchitecture) {
    return fail(
        "{}: is a GGUF file of architecture '{}', which only `sterna inspect` reads; convert the model's "
        "Hugging "
        "Face directory with `sterna convert`",
        gguf.where(), architecture);
  }
  const GgufValue* version = gguf.find(key::version);
  const auto number = version == nullptr ? std::nullopt : version->as_uint();
  if (!number)
    return fail("{}: metadata key '{}' is missing; convert the model again", gguf.where(), key::version);
  if (*number > kFormatVersion) {
    return fail("{}: format version {} is newer than the {} that this program reads; use a newer Sterna",
                gguf.where(), *number, kFormatVersion);
  }
  const GgufValue* checksum = gguf.find(key::checksum);
  if (checksum == nullptr || checksum->type != GgufType::u32) {
    return fail("{}: metadata key '{}' is missing; convert the model again", gguf.where(), key::checksum);
  }
  const auto offset = static_cast<std::size_t>(checksum->bytes.data() - file.data());
  const std::size_t end = std::min<std::size_t>(gguf.data_start(), file.size());
  if (header_checksum(file.first(end), offset) != checksum->as_uint()) {
    return fail("{}: the metadata does not match its checksum; the file is damaged: copy or convert it again",
                gguf.where());
  }
  return {};
}

Status read_text(const Gguf& gguf, StoredModel& model) {
  model.text.tokenizer.pipeline = string_key(gguf, key::pipeline);
  model.text.tokenizer.tokens = strings_key(gguf, key::tokens);
  model.text.tokenizer.merges = strings_key(gguf, key::merges);
  model.text.chat_template = string_key(gguf, key::chat_template);
  model.text.bos_text = string_key(gguf, key::bos_text);
  model.text.eos_text = string_key(gguf, key::eos_text);
  model.source = string_key(gguf, key::source);
  if (model.text.tokenizer.pipeline.empty()) {
    return fail("{}: metadata key '{}' is missing; convert the model again", gguf.where(), key::pipeline);
  }
  const auto number = [&](std::string_view key) {
    const GgufValue* value = gguf.find(key);
    return value == nullptr ? 0U : static_cast<std::uint32_t>(value->as_uint().value_or(0));
  };
  model.checksum = number(key::checksum);
  model.origin = number(key::origin);
  if (const GgufValue* bos = gguf.find(key::bos_id)) {
    model.config.bos =
        static_cast<std::int32_t>(std::clamp<std::int64_t>(bos->as_int().value_or(-1), -1, 1 << 30));
  }
  if (const GgufValue* stops = gguf.find(key::stop_tokens)) {
    for (const double id : stops->as_floats()) {
      model.config.stop_tokens.push_back(static_cast<std::int32_t>(std::clamp(id, -1.0, 1e9)));
    }
  }
  return {};
}

bool layout_fits(const TensorSpec& spec, Layout layout) {
  if (spec.is_vector()) return layout == Layout::f32;
  if (spec.is_embedding()) return !is_ternary(layout);
  return layout != Layout::i8_rows && layout != Layout::i8_split;
}

Status place_tensors(const Gguf& gguf, StoredModel& model) {
  const GgufValue* list = gguf.find(key::tensors);
  if (list == nullptr)
    return fail("{}: metadata key '{}' is missing; convert the model again", gguf.where(), key::tensors);
  std::unordered_map<std::string, TensorDescriptor> descriptors;
  for (const std::string_view line : list->as_strings()) {
    STERNA_TRY(TensorDescriptor descriptor, parse_descriptor(line, gguf.where()));
    std::string name = descriptor.name;
    descriptors.emplace(std::move(name), std::move(descriptor));
  }
  for (TensorSpec& spec : tensor_list(model.config)) {
    const auto found = descriptors.find(spec.name);
    const GgufTensor* tensor = gguf.tensor(spec.name);
    if (found == descriptors.end() || tensor == nullptr) {
      return fail("{}: tensor '{}' is missing; convert the model again", gguf.where(), spec.name);
    }
    const TensorDescriptor& d = found->second;
    if (d.rows != spec.rows || d.columns != spec.columns || !layout_fits(spec, d.layout)) {
      return fail("{}: tensor '{}' is {} x {} in layout {}, the configuration asks for {} x {}", gguf.where(),
                  spec.name, d.rows, d.columns, layout_name(d.layout), spec.rows, spec.columns);
    }
    const auto bytes = gguf.data(*tensor);
    if (bytes.size() != d.bytes()) {
      return fail("{}: tensor '{}' has {} bytes, its descriptor says {}", gguf.where(), spec.name,
                  bytes.size(), d.bytes());
    }
    model.tensors.push_back({std::move(spec), d, bytes});
  }
  if (descriptors.size() != model.tensors.size() || gguf.tensors().size() != model.tensors.size()) {
    return fail(
        "{}: holds {} tensors, but the configuration has {}; the file is damaged: convert the model again",
        gguf.where(), gguf.tensors().size(), model.tensors.size());
  }
  return {};
}

}  // namespace

Result<StoredModel> read_stored_model(std::span<const std::byte> file, const std::string& where) {
  STERNA_TRY(const Gguf gguf, Gguf::parse(file, where));
  STERNA_CHECK(check_header(gguf, file));
  StoredModel model;
  ConfigReader reader(gguf);
  visit_config(model.config, reader);
  STERNA_CHECK(reader.status());
  STERNA_CHECK(read_text(gguf, model));
  STERNA_CHECK(validate(model.config, where));
  STERNA_CHECK(place_tensors(gguf, model));
  STERNA_CHECK(check_rotations(model, where));
  return model;
}

namespace {

// With little memory these tensors are read row by row from the file.
bool stays_in_file(const StoredModel::Tensor& t, const LoadOptions& options) {
  return options.low_memory && t.spec.is_embedding();
}

Status verify(const StoredModel& stored, const MappedFile& image, const LoadOptions& options,
              ThreadPool& pool) {
  return verify_tensors(stored, image.path(), pool,
                        [&](const StoredModel::Tensor& t, std::span<const std::byte> done) {
                          if (stays_in_file(t, options)) image.drop(done);
                        });
}

// A split matrix; where its codes stay in the file, its scales and bounds are copied, because a product reads
// all of them.
Result<DenseRows> split_rows(const StoredModel::Tensor& t, const MappedFile& image, const File& file,
                             bool in_file, Model::Parts& parts) {
  kernels::SplitView view = split_view(t.descriptor, t.bytes);
  if (!in_file) {
    parts.memory.push_back(t.bytes);
    return DenseRows(view);
  }
  const auto offset = reinterpret_cast<const std::byte*>(view.codes) - image.bytes().data();
  const std::size_t bounds = view.rows * kernels::kSplitBounds;
  STERNA_TRY(auto copy, AlignedBuffer<float>::create(view.rows + bounds, "scales"));
  std::copy_n(view.row_scales, view.rows, copy.data());
  std::copy_n(view.bounds, bounds, copy.data() + view.rows);
  view.row_scales = copy.data();
  view.bounds = copy.data() + view.rows;
  parts.memory.push_back(std::as_bytes(copy.span()));
  parts.owners.push_back(std::make_shared<AlignedBuffer<float>>(std::move(copy)));
  return DenseRows(view, file, static_cast<std::uint64_t>(offset));
}

// What nobody will touch again: the header, whose texts were copied, and once more the tensors that stay in
// the file, of which a page fault nearby brings some pages back (16 at once).
void drop_unneeded(const MappedFile& image, const StoredModel& stored, const LoadOptions& options) {
  const std::byte* end = image.bytes().data() + image.bytes().size();
  for (const StoredModel::Tensor& t : stored.tensors) {
    end = std::min(end, t.bytes.data());
    if (stays_in_file(t, options)) image.drop(t.bytes);
  }
  image.drop({image.bytes().data(), end});
}

}  // namespace

Result<std::shared_ptr<const Model>> load_model_file(const std::string& path, const LoadOptions& options,
                                                     ThreadPool& pool) {
  STERNA_TRY(Model::Parts parts, load_parts(path, options, pool));
  return Model::create(std::move(parts), path);
}

Result<Model::Parts> load_parts(const std::string& path, const LoadOptions& options, ThreadPool& pool) {
  assert(options.map || !options.low_memory);
  STERNA_TRY(File opened, File::open(path));
  auto file = std::make_shared<File>(std::move(opened));
  STERNA_TRY(MappedFile mapped, MappedFile::open(*file, options.map));
  auto image = std::make_shared<MappedFile>(std::move(mapped));
  STERNA_TRY(StoredModel stored, read_stored_model(image->bytes(), path));
  if (options.verify) STERNA_CHECK(verify(stored, *image, options, pool));
  drop_unneeded(*image, stored, options);

  Model::Parts parts;
  WeightsBuilder builder(stored.config);
  RotationFactors rotations;
  for (const StoredModel::Tensor& t : stored.tensors) {
    parts.weight_bytes += t.bytes.size();
    if (t.descriptor.layout == Layout::i8_split) {
      STERNA_TRY(const DenseRows rows, split_rows(t, *image, *file, stays_in_file(t, options), parts));
      builder.set_rows(t.spec, rows);
      continue;
    }
    if (stays_in_file(t, options)) {
      const kernels::DenseView view = dense_view(t.descriptor, t.bytes);
      const auto offset = static_cast<const std::byte*>(view.data) - image->bytes().data();
      builder.set_rows(t.spec, DenseRows(view, *file, static_cast<std::uint64_t>(offset)));
      continue;
    }
    parts.memory.push_back(t.bytes);
    if (t.spec.is_vector()) {
      builder.set_vector(t.spec, reinterpret_cast<const float*>(t.bytes.data()));
    } else if (is_ternary(t.descriptor.layout)) {
      const TensorDescriptor& d = t.descriptor;
      builder.set_matrix(t.spec, Matrix(ternary_view(d, t.bytes)));
      if (d.rotation_block != 0) {
        STERNA_CHECK(rotations.set(t.spec, d.rotation_block, d.rotation_seed, builder, parts.owners));
      }
    } else {
      builder.set_matrix(t.spec, Matrix(dense_view(t.descriptor, t.bytes)));
    }
  }
  parts.weights = builder.take();
  parts.config = std::move(stored.config);
  parts.text = std::move(stored.text);
  parts.source = std::move(stored.source);
  parts.checksum = stored.checksum;
  parts.origin = stored.origin;
  parts.owners.push_back(std::move(image));
  parts.owners.push_back(std::move(file));
  return parts;
}

}  // namespace sterna::runtime
