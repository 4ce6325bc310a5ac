#include "convert/inspect.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <mutex>
#include <vector>

#include "convert/checkpoint.h"
#include "convert/hf_config.h"
#include "convert/hf_names.h"
#include "kernels/ternary_matmul/pack.h"
#include "runtime/file.h"
#include "runtime/gguf.h"
#include "runtime/model_file.h"
#include "runtime/verify.h"

namespace sterna::convert {
namespace {

using runtime::Gguf;
using runtime::GgufType;
using runtime::GgufValue;
using runtime::StoredModel;

constexpr std::uint64_t kShownElements = 8;  // of an array in the metadata
constexpr std::size_t kShownText = 4096;     // of a string; the template is kept whole elsewhere

// Counts of two-bit codes 0, 1, 2 (and 3), a byte at a time.
std::array<std::uint64_t, 4> count_codes(std::span<const std::byte> bytes, runtime::ThreadPool& pool) {
  std::array<std::uint64_t, 256> histogram{};
  std::mutex mutex;
  pool.run(bytes.size(), 1U << 16, [&](std::size_t begin, std::size_t end, std::size_t) {
    std::array<std::uint64_t, 256> local{};
    for (std::size_t i = begin; i < end; ++i) ++local[static_cast<std::uint8_t>(bytes[i])];
    const std::lock_guard lock(mutex);
    for (std::size_t value = 0; value < local.size(); ++value) histogram[value] += local[value];
  });
  std::array<std::uint64_t, 4> codes{};
  for (std::size_t value = 0; value < histogram.size(); ++value) {
    for (unsigned shift = 0; shift < 8; shift += 2) codes[(value >> shift) & 3U] += histogram[value];
  }
  return codes;
}

// Counts of the weights' trits. A file may hold any bytes, so a digit is what it is modulo 3.
TritCounts count_trits(const kernels::TernaryView& w, runtime::ThreadPool& pool) {
  std::array<std::uint64_t, 3> counts{};
  std::mutex mutex;
  pool.run(w.row_blocks(), 1, [&](std::size_t begin, std::size_t end, std::size_t) {
    std::array<std::uint64_t, 256> weights{};
    std::vector<std::int8_t> block(kernels::kTileRows * w.columns);
    for (std::size_t b = begin; b < end; ++b) {
      const std::size_t rows = std::min(kernels::kTileRows, w.rows - b * kernels::kTileRows);
      kernels::unpack_block(w, b, block.data());
      for (std::size_t i = 0; i < rows * w.columns; ++i) ++weights[static_cast<std::uint8_t>(block[i])];
    }
    const std::lock_guard lock(mutex);
    for (std::size_t value = 0; value < weights.size(); ++value) {
      const int weight = static_cast<int>(value) - (value < 128 ? 0 : 256);
      auto digits = static_cast<unsigned>(std::max(0, weight + kernels::max_weight(w.planes)));
      for (std::size_t p = 0; p < w.planes; ++p, digits /= 3) counts[digits % 3] += weights[value];
    }
  });
  return {counts[0], counts[1], counts[2]};
}

std::string printable(std::string_view text, std::size_t limit) {
  std::string out(text.substr(0, limit));
  if (text.size() > limit) out += fmt::format("... ({} bytes)", text.size());
  return out;
}

nlohmann::ordered_json to_json(const GgufValue& value) {
  if (const auto text = value.as_string()) return printable(*text, kShownText);
  if (const auto flag = value.as_bool()) return *flag;
  if (value.type == GgufType::u64) return value.as_uint().value_or(0);
  if (const auto integer = value.as_int()) return *integer;
  if (const auto number = value.as_float()) return *number;
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  if (value.element == GgufType::string) {
    for (const std::string_view text : value.as_strings()) {
      if (list.size() == kShownElements) break;
      list.push_back(printable(text, 256));
    }
  } else {
    const std::size_t step = runtime::gguf_scalar_bytes(value.element);
    for (std::uint64_t i = 0; step > 0 && i < std::min(value.count, kShownElements); ++i) {
      list.push_back(to_json({value.element, GgufType::u8, 0, value.bytes.subspan(i * step, step)}));
    }
  }
  if (value.count <= list.size()) return list;
  return {
      {"type", runtime::gguf_type_name(value.element)}, {"count", value.count}, {"first", std::move(list)}};
}

InspectedTensor inspect_stored(const StoredModel::Tensor& t, runtime::ThreadPool& pool) {
  InspectedTensor out;
  const runtime::TensorDescriptor& d = t.descriptor;
  out.name = d.name;
  out.type = runtime::layout_name(d.layout);
  out.shape =
      d.rows == 1 ? std::vector<std::uint64_t>{d.columns} : std::vector<std::uint64_t>{d.rows, d.columns};
  out.weights = d.weights();
  out.bytes = t.bytes.size();
  if (!runtime::is_ternary(d.layout)) return out;
  out.type += fmt::format(", {} plane{}, {}", d.planes, d.planes == 1 ? "" : "s",
                          d.group == 0 ? "one scale" : fmt::format("a scale per {}", d.group));
  if (d.rotation_block != 0) {
    out.type += fmt::format(", rotation of {} (seed {})", d.rotation_block, d.rotation_seed);
  }
  out.planes = d.planes;
  out.rotation_block = d.rotation_block;
  out.rotation_seed = d.rotation_seed;
  out.trits = count_trits(runtime::ternary_view(d, t.bytes), pool);
  return out;
}

Result<Inspection> inspect_gguf(const std::string& path, bool verify, runtime::ThreadPool& pool) {
  STERNA_TRY(const runtime::MappedFile file, runtime::MappedFile::open(path));
  STERNA_TRY(const Gguf gguf, Gguf::parse(file.bytes(), path));
  Inspection out;
  out.path = path;
  out.file_bytes = file.bytes().size();
  for (const auto& [key, value] : gguf.keys()) {
    if (key == runtime::key::chat_template) {
      out.chat_template = value.as_string().value_or("");
    } else if (key != runtime::key::tensors) {  // the tensor table shows them
      out.metadata[std::string(key)] = to_json(value);
    }
  }
  const GgufValue* architecture = gguf.find(runtime::key::architecture);
  out.architecture = architecture == nullptr ? "" : std::string(architecture->as_string().value_or(""));
  const bool ours = out.architecture == runtime::kArchitecture;
  out.format = fmt::format("{} v{}", ours ? "Sterna GGUF" : "GGUF", gguf.version());
  auto stored = runtime::read_stored_model(file.bytes(), path);
  if (!stored) {
    out.runnable = stored.error().message;
    if (ours) return stored.error();  // a damaged file of our own is an error, not a curiosity
    for (const runtime::GgufTensor& t : gguf.tensors()) {
      const runtime::GgmlType* type = runtime::ggml_type(t.type);
      out.tensors.push_back({std::string(t.name),
                             type != nullptr ? type->name : fmt::format("type {}", t.type),
                             {t.dimensions.rbegin(), t.dimensions.rend()},
                             t.elements(),
                             t.bytes,
                             std::nullopt,
                             0,
                             0,
                             0});
    }
    return out;
  }
  if (verify) STERNA_CHECK(runtime::verify_tensors(*stored, path, pool));
  out.architecture = stored->config.model_type;
  out.form = stored->source;
  for (const StoredModel::Tensor& t : stored->tensors) out.tensors.push_back(inspect_stored(t, pool));
  return out;
}

// Two-bit packed linears of trained ternary checkpoints are U8 tensors with a weight_scale beside them.
bool is_packed(const Checkpoint& checkpoint, const StoredTensor& tensor) {
  return tensor.dtype == DType::u8 && tensor.shape.size() == 2 &&
         checkpoint.find(tensor.name + "_scale") != nullptr;
}

Result<InspectedTensor> inspect_tensor(const Checkpoint& checkpoint, const StoredTensor& tensor,
                                       runtime::ThreadPool& pool) {
  InspectedTensor out;
  out.name = tensor.name;
  out.type = dtype_name(tensor.dtype);
  out.shape = tensor.shape;
  out.bytes = tensor.bytes;
  out.weights = 1;
  for (const std::uint64_t n : tensor.shape) out.weights *= n;
  if (!is_packed(checkpoint, tensor)) return out;
  out.type = "U8, 4 trits a byte";
  out.weights *= 4;
  STERNA_TRY(const std::vector<std::byte> bytes, checkpoint.read(tensor.name));
  const auto codes = count_codes(bytes, pool);
  if (codes[3] > 0) out.type += fmt::format(", {} invalid codes", codes[3]);
  out.trits = TritCounts{codes[0], codes[1], codes[2]};
  return out;
}

Result<Inspection> inspect_directory(const std::string& path, runtime::ThreadPool& pool) {
  Inspection out;
  out.path = path;
  out.format = "Hugging Face directory";
  STERNA_TRY(const std::string config_text, runtime::read_text_file(path + "/config.json"));
  out.metadata = nlohmann::ordered_json::parse(config_text, nullptr, false);
  if (!out.metadata.is_object()) return fail("{}/config.json: is not a JSON object", path);
  const auto architectures = out.metadata.find("architectures");
  if (architectures != out.metadata.end() && architectures->is_array() && !architectures->empty() &&
      architectures->front().is_string()) {
    out.architecture = architectures->front().get<std::string>();
  }
  const auto model = read_hf_model(path);
  if (model) {
    out.form = trained_form_name(model->quantization.form);
    out.chat_template = model->chat_template;
  } else {
    out.runnable = model.error().message;
  }
  auto checkpoint = Checkpoint::open(path);
  if (!checkpoint) {
    if (out.runnable.empty()) out.runnable = checkpoint.error().message;
    return out;
  }
  if (model) {
    if (const Status status = check_tensors(*checkpoint, *model); !status)
      out.runnable = status.error().message;
  }
  for (const std::string& name : checkpoint->names()) {
    STERNA_TRY(InspectedTensor tensor, inspect_tensor(*checkpoint, *checkpoint->find(name), pool));
    out.file_bytes += tensor.bytes;
    out.tensors.push_back(std::move(tensor));
  }
  return out;
}

}  // namespace

Result<Inspection> inspect(const std::string& path, bool verify, runtime::ThreadPool& pool) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) return inspect_directory(path, pool);
  return inspect_gguf(path, verify, pool);
}

}  // namespace sterna::convert
