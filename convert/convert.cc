#include "convert/convert.h"

#include <algorithm>
#include <filesystem>

#include "convert/hf_names.h"
#include "convert/model_header.h"
#include "runtime/file.h"
#include "runtime/format.h"
#include "runtime/model_file.h"
#include "runtime/tokenizer/tokenizer.h"
#include "runtime/verify.h"

namespace sterna::convert {
namespace {

using runtime::TensorDescriptor;
using runtime::TensorSpec;

struct Job {
  const Checkpoint& checkpoint;
  const HfModel& model;
  ModelHeader header;
};

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

// The planes of a plan: "2 planes", "1 to 3 planes".
std::string describe_planes(const Plan& plan) {
  std::size_t least = 1;
  std::size_t most = kernels::kMaxPlanes;
  while (plan.count(least) == 0) ++least;
  while (plan.count(most) == 0) --most;
  if (least == most) return fmt::format("{} plane{}", most, most == 1 ? "" : "s");
  return fmt::format("{} to {} planes", least, most);
}

std::string describe_source(const HfModel& model, const EncodeOptions& options,
                            const std::optional<FittedModel>& fitted) {
  if (model.quantization.form != TrainedForm::none) {
    return fmt::format("trained ternary ({}){}", trained_form_name(model.quantization.form),
                       fitted ? ", scales tuned" : "");
  }
  if (!options.planes) return "float, as stored";
  if (fitted && fitted->report().plan) {
    const Plan& plan = *fitted->report().plan;
    return fmt::format("float, calibrated, {:.2f} bits per weight ({})", plan.bits_per_weight(),
                       describe_planes(plan));
  }
  return fmt::format("float, {}, {} plane{}", fitted ? "calibrated" : "data-free", *options.planes,
                     *options.planes == 1 ? "" : "s");
}

Status check_fit(const HfModel& model, const ConvertOptions& options, const std::string& directory) {
  const FitRun& fit = *options.fit;
  if (options.keep_float) {
    return fail("with --float nothing is fitted; leave out --float, or --calibrate and --recover");
  }
  // A window of one token predicts nothing.
  if (fit.calibration.window < 2) return fail("--window: at least 2 tokens are needed");
  if (model.quantization.form == TrainedForm::none || fit.recover_minutes > 0.0 || fit.recover_steps > 0)
    return {};
  return fail(
      "{}: is trained ternary ({}) and is packed exactly, so there is nothing to calibrate; leave out "
      "--calibrate, or tune its scales with --recover",
      directory, trained_form_name(model.quantization.form));
}

Status check_options(const HfModel& model, const ConvertOptions& options, const std::string& directory) {
  const char* wish = options.planes            ? "--planes"
                     : options.bits_per_weight ? "--bpw"
                     : options.keep_float      ? "--float"
                                               : nullptr;
  if (int{options.planes.has_value()} + int{options.bits_per_weight.has_value()} + int{options.keep_float} >
      1)
    return fail("--planes, --bpw and --float exclude each other");
  if (options.bits_per_weight && !options.fit) {
    return fail("--bpw chooses planes by what they are worth on a text; give --calibrate, too");
  }
  if (options.fit) STERNA_CHECK(check_fit(model, options, directory));
  if (model.quantization.form == TrainedForm::none || wish == nullptr) return {};
  return fail("{}: is trained ternary ({}) and is packed exactly; leave out {}", directory,
              trained_form_name(model.quantization.form), wish);
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
    STERNA_CHECK(file.write(job_.header.bytes(descriptors_, offsets)));
    const std::uint64_t data_start = file.position();
    for (std::size_t i = 0; i < specs_.size(); ++i) {
      offsets[i] = file.position() - data_start;
      STERNA_CHECK(write_tensor(i, file));
    }
    STERNA_TRY(const std::vector<std::byte> header, job_.header.sealed(descriptors_, offsets, output));
    if (header.size() != data_start) return fail("{}: internal error: the header changed its size", output);
    STERNA_CHECK(file.write_at(0, header));
    STERNA_CHECK(file.flush());
    report_progress("verifying");
    STERNA_CHECK(verify(file.partial_path(), specs_.size(), pool_));
    if (cancelled_()) return fail("interrupted; nothing was written to {}", output);
    report_.file_bytes = file.position();
    STERNA_CHECK(file.commit());
    report_.source = job_.header.source();
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
                        runtime::TokenizerSpec tokenizer) {
  const std::string where = checkpoint.directory() + "/tokenizer.json";
  STERNA_TRY(ModelHeader header, ModelHeader::create(model.config,
                                                     {std::move(tokenizer), model.chat_template,
                                                      model.bos_token, model.eos_token, where},
                                                     /*source=*/{}, where));
  return Job{checkpoint, model, std::move(header)};
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
  encode.storage = options.storage;
  const bool float_model = model.quantization.form == TrainedForm::none;
  const bool by_default = float_model && !options.planes && !options.bits_per_weight && !options.keep_float;
  if (float_model && !options.keep_float) encode.planes = options.planes.value_or(3);
  STERNA_TRY(Job job, prepare_job(checkpoint, model, tokenizer));
  std::optional<FittedModel> fitted;
  if (options.fit) {
    STERNA_TRY(const runtime::Tokenizer encoder,
               runtime::Tokenizer::create(tokenizer, directory + "/tokenizer.json"));
    FitRun run = *options.fit;
    run.bits_per_weight = options.bits_per_weight;
    STERNA_TRY(fitted, FittedModel::create(checkpoint, model, encoder, encode.planes.value_or(1),
                                           options.embedding, run, output, pool, cancelled));
    encode.fitted = &*fitted;
  }
  job.header.set_source(describe_source(model, encode, fitted));
  if (fitted) job.header.set_calibration(fitted->report().text);
  STERNA_TRY(ConvertReport report, Converter(job, encode, pool, progress, cancelled).run(output));
  report.planes_by_default = by_default;
  if (fitted) {
    report.fit = fitted->report();
    STERNA_CHECK(fitted->remove_work());
  }
  return report;
}

}  // namespace sterna::convert
