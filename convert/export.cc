#include "convert/export.h"

#include <algorithm>
#include <utility>

#include "convert/export_architecture.h"
#include "convert/export_tensor.h"
#include "convert/export_tokens.h"
#include "convert/ggml_blocks.h"
#include "convert/gguf_writer.h"
#include "runtime/file.h"
#include "runtime/gguf.h"
#include "runtime/model_file.h"
#include "runtime/verify.h"

namespace sterna::convert {
namespace {

namespace ggml_id = runtime::ggml_id;
using runtime::StoredModel;
using runtime::TensorSpec;

constexpr std::size_t kAlignment = 32;         // GGUF's own, where no key says otherwise
constexpr std::size_t kChunkBytes = 8U << 20;  // rows are encoded and written in pieces of about this much
constexpr const char* kRopeFactors = "rope_freqs.weight";

std::uint32_t ternary_id(ExportType type) {
  return type == ExportType::tq1_0 ? ggml_id::tq1_0 : ggml_id::tq2_0;
}

// As llama.cpp numbers what most of a file is (llama.h, llama_ftype).
std::uint32_t file_type(ExportType type) {
  return type == ExportType::tq1_0 ? 36 : type == ExportType::tq2_0 ? 37 : 1;
}

Result<std::uint32_t> type_of(const StoredModel::Tensor& tensor, const ExportOptions& options,
                              const std::string& where) {
  const TensorSpec& spec = tensor.spec;
  if (spec.is_vector()) return ggml_id::f32;
  if (spec.is_embedding()) {
    const ExportHead by_default = options.type == ExportType::f16 ? ExportHead::f16 : ExportHead::q8_0;
    const bool q8 = options.head.value_or(by_default) == ExportHead::q8_0 && spec.columns % kQ8Block == 0;
    return q8 ? ggml_id::q8_0 : ggml_id::f16;
  }
  if (options.type == ExportType::f16 || !runtime::is_ternary(tensor.descriptor.layout)) return ggml_id::f16;
  const std::uint32_t id = ternary_id(options.type);
  if (spec.columns % kTernaryBlock != 0) {
    return fail("{}: tensor '{}' has rows of {} weights, {} needs multiples of {}; use --to f16", where,
                spec.name, spec.columns, runtime::ggml_type(id)->name, kTernaryBlock);
  }
  return id;
}

bool is_rotated(const TensorSpec& spec) {
  return (spec.role == runtime::Role::q || spec.role == runtime::Role::k) && spec.part != runtime::Part::norm;
}

Result<std::vector<ExportedTensor>> plan(const StoredModel& model, const PeerArchitecture& peer,
                                         const ExportOptions& options, const std::string& where) {
  std::vector<ExportedTensor> tensors;
  tensors.reserve(model.tensors.size());
  bool any_ternary = false;
  for (const StoredModel::Tensor& t : model.tensors) {
    STERNA_TRY(const std::uint32_t type, type_of(t, options, where));
    const bool pairs = peer.adjacent_pairs && is_rotated(t.spec);
    tensors.emplace_back(t, type, pairs ? model.config.head_dim : 0);
    if (const Status status = tensors.back().check(); !status)
      return fail("{}: {}", where, status.error().message);
    any_ternary |= type == ggml_id::tq1_0 || type == ggml_id::tq2_0;
  }
  if (!any_ternary && options.type != ExportType::f16) {
    return fail("{}: has no ternary matrix; use --to f16", where);
  }
  return tensors;
}

class Exporter {
 public:
  Exporter(const StoredModel& model, const PeerArchitecture& peer, std::vector<ExportedTensor> tensors,
           runtime::ThreadPool& pool, const ProgressSink& progress, const std::function<bool()>& cancelled)
      : model_(model),
        peer_(peer),
        tensors_(std::move(tensors)),
        pool_(pool),
        progress_(progress),
        cancelled_(cancelled) {}

  Status add_header(const ExportOptions& options, const std::string& where, std::vector<std::string>& notes) {
    namespace key = runtime::key;
    header_.add(key::architecture, std::string_view(peer_.name));
    header_.add(key::name, std::string_view(model_.config.name));
    header_.add("general.file_type", file_type(options.type));
    header_.add("general.quantization_version", std::uint32_t{2});  // of the blocks' layouts, all along
    add_config_keys(header_, model_.config, peer_);
    STERNA_CHECK(add_token_keys(header_, model_.config, model_.text, where, options.pre_tokenizer, notes));
    std::uint64_t offset = 0;
    for (const ExportedTensor& t : tensors_) {
      const std::uint64_t dimensions[] = {t.spec().columns, t.spec().rows};
      add_tensor(t.spec().name, std::span(dimensions).first(t.spec().is_vector() ? 1 : 2), t.type(),
                 t.bytes(), offset);
      total_ += t.bytes();
    }
    if (!peer_.rope_factors.empty()) {
      const std::uint64_t dimensions[] = {peer_.rope_factors.size()};
      add_tensor(kRopeFactors, dimensions, ggml_id::f32, peer_.rope_factors.size() * sizeof(float), offset);
    }
    return {};
  }

  Status write(runtime::OutputFile& file, const std::string& output) {
    STERNA_CHECK(file.write(header_.serialize(kAlignment)));
    for (const ExportedTensor& t : tensors_) STERNA_CHECK(write_tensor(t, file, output));
    const auto factors = std::as_bytes(std::span(peer_.rope_factors));
    STERNA_CHECK(file.write(factors));
    return pad(file);
  }

  [[nodiscard]] std::uint64_t tensor_bytes() const { return total_; }
  [[nodiscard]] std::uint64_t weights() const {
    std::uint64_t sum = 0;
    for (const ExportedTensor& t : tensors_) sum += std::uint64_t{t.spec().rows} * t.spec().columns;
    return sum;
  }

 private:
  void add_tensor(const std::string& name, std::span<const std::uint64_t> dimensions, std::uint32_t type,
                  std::uint64_t bytes, std::uint64_t& offset) {
    header_.add_tensor(name, dimensions, type, offset);
    offset += kernels::round_up(bytes, kAlignment);
  }

  Status write_tensor(const ExportedTensor& t, runtime::OutputFile& file, const std::string& output) {
    const std::size_t rows = t.spec().rows;
    const std::size_t step = std::max<std::size_t>(1, kChunkBytes / t.row_bytes());
    std::vector<std::byte> bytes;
    for (std::size_t row = 0; row < rows; row += step) {
      if (cancelled_()) return fail("interrupted; nothing was written to {}", output);
      if (progress_) progress_({done_, total_, t.spec().name});
      const std::size_t count = std::min(step, rows - row);
      bytes.resize(count * t.row_bytes());
      STERNA_CHECK(t.encode(row, count, pool_, bytes));
      STERNA_CHECK(file.write(bytes));
      done_ += bytes.size();
    }
    return pad(file);
  }

  static Status pad(runtime::OutputFile& file) {
    const std::uint64_t end = kernels::round_up(file.position(), kAlignment);
    return file.write(std::vector<std::byte>(end - file.position()));
  }

  const StoredModel& model_;
  const PeerArchitecture& peer_;
  std::vector<ExportedTensor> tensors_;
  runtime::ThreadPool& pool_;
  const ProgressSink& progress_;
  const std::function<bool()>& cancelled_;
  GgufHeader header_;
  std::uint64_t done_ = 0;
  std::uint64_t total_ = 0;
};

}  // namespace

Result<ExportReport> export_model(const std::string& source, const std::string& output,
                                  const ExportOptions& options, runtime::ThreadPool& pool,
                                  const ProgressSink& progress, const std::function<bool()>& cancelled) {
  STERNA_TRY(const runtime::MappedFile mapped, runtime::MappedFile::open(source));
  STERNA_TRY(const StoredModel model, runtime::read_stored_model(mapped.bytes(), source));
  STERNA_TRY(const PeerArchitecture peer, peer_architecture(model.config, source));
  STERNA_CHECK(runtime::verify_tensors(model, source, pool));
  STERNA_TRY(std::vector<ExportedTensor> tensors, plan(model, peer, options, source));
  ExportReport report{peer.name, 0, 0, 0, peer.notes};
  Exporter exporter(model, peer, std::move(tensors), pool, progress, cancelled);
  STERNA_CHECK(exporter.add_header(options, source, report.notes));

  STERNA_TRY(runtime::OutputFile file, runtime::OutputFile::create(output));
  STERNA_CHECK(exporter.write(file, output));
  if (cancelled()) return fail("interrupted; nothing was written to {}", output);
  report.file_bytes = file.position();
  report.weights = exporter.weights();
  report.tensor_bytes = exporter.tensor_bytes();
  STERNA_CHECK(file.commit());
  return report;
}

}  // namespace sterna::convert
