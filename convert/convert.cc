#include "convert/convert.h"

#include <algorithm>
#include <filesystem>

#include "convert/gguf_writer.h"
#include "convert/hf_names.h"
#include "runtime/config_keys.h"
#include "runtime/file.h"
#include "runtime/format.h"
#include "runtime/gguf.h"
#include "runtime/model_file.h"
#include "runtime/tokenizer/tokenizer.h"
#include "runtime/verify.h"

namespace sterna::convert {
namespace {

using runtime::Layout;
using runtime::TensorDescriptor;
using runtime::TensorSpec;

// Descriptors are padded with spaces to this length, so that the header's size is known before the tensors
// are.
constexpr std::size_t kDescriptorLength = 192;

class HeaderConfig {
 public:
  explicit HeaderConfig(GgufHeader& header) : header_(header) {}
  void operator()(std::string_view key, const std::string& value) {
    header_.add(key, std::string_view(value));
  }
  template <class T>
  void operator()(std::string_view key, const T& value) {
    header_.add(key, value);
  }
  template <class Enum, std::size_t N>
  void choice(std::string_view key, const Enum& value, const std::string_view (&names)[N]) {
    header_.add(key, names[static_cast<std::size_t>(value)]);
  }

 private:
  GgufHeader& header_;
};

// Types as GGUF has them: 1 normal, 3 control (special), 4 user defined, 5 unused, 6 byte.
std::vector<std::int32_t> token_types(const runtime::Tokenizer& tokenizer, std::size_t count) {
  std::vector<std::int32_t> types(count, 1);
  for (std::size_t id = 0; id < count; ++id) {
    const auto token = tokenizer.token(static_cast<runtime::TokenId>(id));
    if (token.empty()) {
      types[id] = 5;
    } else if (tokenizer.is_special(static_cast<runtime::TokenId>(id))) {
      types[id] = 3;
    } else if (token.size() == 6 && token.starts_with("<0x") && token.ends_with(">")) {
      types[id] = 6;
    }
  }
  return types;
}

struct Job {
  const Checkpoint& checkpoint;
  const HfModel& model;
  const runtime::TokenizerSpec& tokenizer;
  std::vector<std::string> tokens;  // by id, added tokens included: what GGUF tools show
  std::vector<std::int32_t> types;
  std::string source;
};

std::string padded(std::string line) {
  assert(line.size() <= kDescriptorLength);
  line.resize(std::max(line.size(), kDescriptorLength), ' ');
  return line;
}

void add_text_keys(GgufHeader& header, const Job& job) {
  namespace key = runtime::key;
  const bool byte_level = job.tokenizer.pipeline.find("\"byte_fallback\":true") == std::string::npos;
  header.add(key::tokenizer_model, std::string_view(byte_level ? "gpt2" : "llama"));
  header.add(key::tokens, job.tokens);
  header.add(key::token_types, job.types);
  header.add(key::merges, job.tokenizer.merges);
  header.add(key::pipeline, std::string_view(job.tokenizer.pipeline));
  const runtime::ModelConfig& config = job.model.config;
  if (config.bos >= 0) header.add(key::bos_id, static_cast<std::uint32_t>(config.bos));
  if (!config.stop_tokens.empty())
    header.add(key::eos_id, static_cast<std::uint32_t>(config.stop_tokens.front()));
  header.add(key::stop_tokens, config.stop_tokens);
  header.add(key::bos_text, std::string_view(job.model.bos_token));
  header.add(key::eos_text, std::string_view(job.model.eos_token));
  if (!job.model.chat_template.empty())
    header.add(key::chat_template, std::string_view(job.model.chat_template));
}

// The whole header; `offsets` are those of the tensors from the start of the data.
std::vector<std::byte> header_bytes(const Job& job, const std::vector<TensorDescriptor>& descriptors,
                                    const std::vector<std::uint64_t>& offsets) {
  namespace key = runtime::key;
  GgufHeader header;
  header.add(key::architecture, runtime::kArchitecture);
  header.add(key::checksum, std::uint32_t{0});
  header.add(key::version, runtime::kFormatVersion);
  header.add(key::alignment, static_cast<std::uint32_t>(runtime::kFileAlignment));
  HeaderConfig config(header);
  runtime::visit_config(job.model.config, config);
  header.add(key::source, std::string_view(job.source));
  std::vector<std::string> lines;
  lines.reserve(descriptors.size());
  for (const TensorDescriptor& d : descriptors) lines.push_back(padded(runtime::to_json(d)));
  header.add(key::tensors, lines);
  add_text_keys(header, job);
  for (std::size_t i = 0; i < descriptors.size(); ++i) {
    const TensorDescriptor& d = descriptors[i];
    const std::uint64_t blob[] = {d.bytes()};
    const std::uint64_t matrix[] = {d.columns, d.rows};
    const std::uint64_t vector[] = {d.columns};
    const bool is_blob = d.layout == Layout::trit2 || d.layout == Layout::i8_rows;
    const std::uint32_t type = is_blob                    ? runtime::ggml_id::i8
                               : d.layout == Layout::f16  ? runtime::ggml_id::f16
                               : d.layout == Layout::bf16 ? runtime::ggml_id::bf16
                                                          : runtime::ggml_id::f32;
    const auto dimensions = is_blob       ? std::span<const std::uint64_t>(blob)
                            : d.rows == 1 ? std::span<const std::uint64_t>(vector)
                                          : std::span<const std::uint64_t>(matrix);
    header.add_tensor(d.name, dimensions, type, offsets[i]);
  }
  return header.serialize(runtime::kFileAlignment);
}

// Finds the checksum's place by parsing what was written, as a reader would.
Status seal(std::vector<std::byte>& header, const std::string& where) {
  // The tensors lie behind the header and are not in this span, so only the keys can be looked at.
  constexpr std::string_view kKey = runtime::key::checksum;
  const auto needle = std::as_bytes(std::span(kKey));
  const auto at = std::search(header.begin(), header.end(), needle.begin(), needle.end());
  if (at == header.end()) return fail("{}: internal error: the header has no checksum key", where);
  const std::size_t offset =
      static_cast<std::size_t>(at - header.begin()) + kKey.size() + sizeof(std::uint32_t);
  const std::uint32_t crc = runtime::header_checksum(header, offset);
  std::memcpy(header.data() + offset, &crc, sizeof crc);
  return {};
}

void count(ConvertReport& report, const TensorSpec& spec, const Encoded& encoded) {
  const std::uint64_t bytes = encoded.descriptor.bytes();
  report.weights += encoded.descriptor.weights();
  report.tensor_bytes += bytes;
  if (spec.is_linear()) {
    report.linear_weights += encoded.descriptor.weights();
    report.linear_bytes += bytes;
  }
  if (!encoded.fitted) return;
  ++report.fitted;
  report.mean_relative_error += encoded.relative_error;
  if (encoded.relative_error > report.worst_relative_error) {
    report.worst_relative_error = encoded.relative_error;
    report.worst_tensor = spec.name;
  }
}

std::string describe_source(const HfModel& model, const EncodeOptions& options) {
  if (model.quantization.form != TrainedForm::none) {
    return fmt::format("trained ternary ({})", trained_form_name(model.quantization.form));
  }
  if (!options.planes) return "float, as stored";
  return fmt::format("float, data-free, {} plane{}", *options.planes, *options.planes == 1 ? "" : "s");
}

Status check_options(const HfModel& model, const ConvertOptions& options, const std::string& directory) {
  if (options.planes && options.keep_float) return fail("--planes and --float exclude each other");
  if (model.quantization.form == TrainedForm::none || (!options.planes && !options.keep_float)) return {};
  return fail("{}: is trained ternary ({}) and is packed exactly; leave out {}", directory,
              trained_form_name(model.quantization.form), options.planes ? "--planes" : "--float");
}

// Re-opens the finished file and compares every tensor with its checksum; mapped pages are dropped as we go,
// so that the check needs no memory.
Status verify(const std::string& path, std::size_t tensors, runtime::ThreadPool& pool) {
  STERNA_TRY(const runtime::MappedFile file, runtime::MappedFile::open(path));
  STERNA_TRY(const runtime::StoredModel stored, runtime::read_stored_model(file.bytes(), path));
  if (stored.tensors.size() != tensors) {
    return fail("{}: {} tensors were written, {} can be read", path, tensors, stored.tensors.size());
  }
  return runtime::verify_tensors(stored, path, pool,
                                 [&](const auto&, std::span<const std::byte> done) { file.drop(done); });
}

class Converter {
 public:
  Converter(const Job& job, const EncodeOptions& options, runtime::ThreadPool& pool,
            const ProgressSink& progress, const std::function<bool()>& cancelled)
      : job_(job),
        options_(options),
        pool_(pool),
        progress_(progress),
        cancelled_(cancelled),
        specs_(runtime::tensor_list(job.model.config)) {}

  Result<ConvertReport> run(const std::string& output) {
    STERNA_TRY(runtime::OutputFile file, runtime::OutputFile::create(output));
    plan();
    std::vector<std::uint64_t> offsets(specs_.size());
    STERNA_CHECK(file.write(header_bytes(job_, descriptors_, offsets)));
    const std::uint64_t data_start = file.position();
    for (std::size_t i = 0; i < specs_.size(); ++i) {
      offsets[i] = file.position() - data_start;
      STERNA_CHECK(write_tensor(i, file));
    }
    std::vector<std::byte> header = header_bytes(job_, descriptors_, offsets);
    STERNA_CHECK(seal(header, output));
    if (header.size() != data_start) return fail("{}: internal error: the header changed its size", output);
    STERNA_CHECK(file.write_at(0, header));
    STERNA_CHECK(file.flush());
    report_progress("verifying");
    STERNA_CHECK(verify(file.partial_path(), specs_.size(), pool_));
    if (cancelled_()) return fail("interrupted; nothing was written to {}", output);
    report_.file_bytes = file.position();
    STERNA_CHECK(file.commit());
    report_.source = job_.source;
    if (report_.fitted > 0) report_.mean_relative_error /= static_cast<double>(report_.fitted);
    return report_;
  }

 private:
  // Descriptors whose layout is final and whose other fields are the longest they can be.
  void plan() {
    for (const TensorSpec& spec : specs_) {
      TensorDescriptor d;
      d.name = spec.name;
      d.rows = spec.rows;
      d.columns = spec.columns;
      d.layout = planned_layout(job_.checkpoint, job_.model, spec, options_);
      total_ += d.weights();
      descriptors_.push_back(std::move(d));
    }
  }

  Status write_tensor(std::size_t i, runtime::OutputFile& file) {
    const TensorSpec& spec = specs_[i];
    report_progress(spec.name);
    const std::uint64_t begin = file.position();
    STERNA_TRY(const Encoded encoded, encode_tensor(job_.checkpoint, job_.model, spec, options_, pool_,
                                                    [&](std::span<const std::byte> bytes) -> Status {
                                                      if (cancelled_())
                                                        return fail("interrupted; nothing was written");
                                                      return file.write(bytes);
                                                    }));
    if (file.position() - begin != encoded.descriptor.bytes()) {
      return fail("internal error: tensor '{}' has {} bytes, {} were announced", spec.name,
                  file.position() - begin, encoded.descriptor.bytes());
    }
    const std::uint64_t position = file.position();
    const std::vector<std::byte> padding(kernels::round_up(position, runtime::kFileAlignment) - position);
    STERNA_CHECK(file.write(padding));
    count(report_, spec, encoded);
    descriptors_[i] = encoded.descriptor;
    done_ += encoded.descriptor.weights();
    return {};
  }

  void report_progress(const std::string& what) {
    if (progress_) progress_({done_, total_, what});
  }

  const Job& job_;
  const EncodeOptions& options_;
  runtime::ThreadPool& pool_;
  const ProgressSink& progress_;
  const std::function<bool()>& cancelled_;
  std::vector<TensorSpec> specs_;
  std::vector<TensorDescriptor> descriptors_;
  ConvertReport report_;
  std::uint64_t done_ = 0;
  std::uint64_t total_ = 0;
};

Result<Job> prepare_job(const Checkpoint& checkpoint, const HfModel& model,
                        const runtime::TokenizerSpec& tokenizer, const EncodeOptions& options) {
  const std::string where = checkpoint.directory() + "/tokenizer.json";
  STERNA_TRY(const runtime::Tokenizer table, runtime::Tokenizer::create(tokenizer, where));
  if (table.vocab_size() > model.config.vocab) {
    return fail(
        "{}: the tokenizer has ids up to {}, but vocab_size in config.json is {}; the files do not belong "
        "together",
        where, table.vocab_size() - 1, model.config.vocab);
  }
  Job job{checkpoint, model, tokenizer, tokenizer.tokens, {}, describe_source(model, options)};
  job.types = token_types(table, job.tokens.size());
  return job;
}

}  // namespace

Result<ConvertReport> convert_directory(const std::string& directory, const std::string& output,
                                        const ConvertOptions& options, runtime::ThreadPool& pool,
                                        const ProgressSink& progress,
                                        const std::function<bool()>& cancelled) {
  STERNA_TRY(const HfModel model, read_hf_model(directory));
  STERNA_CHECK(check_options(model, options, directory));
  STERNA_TRY(const Checkpoint checkpoint, Checkpoint::open(directory));
  STERNA_CHECK(check_tensors(checkpoint, model));
  STERNA_TRY(const std::string tokenizer_json, read_tokenizer_json(directory));
  STERNA_TRY(const runtime::TokenizerSpec tokenizer,
             runtime::split_spec(tokenizer_json, directory + "/tokenizer.json"));

  EncodeOptions encode;
  encode.embedding = options.embedding;
  const bool float_model = model.quantization.form == TrainedForm::none;
  const bool by_default = float_model && !options.planes && !options.keep_float;
  if (float_model && !options.keep_float) encode.planes = options.planes.value_or(3);
  STERNA_TRY(const Job job, prepare_job(checkpoint, model, tokenizer, encode));
  STERNA_TRY(ConvertReport report, Converter(job, encode, pool, progress, cancelled).run(output));
  report.planes_by_default = by_default;
  return report;
}

}  // namespace sterna::convert
