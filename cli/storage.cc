#include "cli/storage.h"

#include <CLI/CLI.hpp>
#include <filesystem>
#include <utility>

#include "cli/terminal.h"
#include "convert/hf_model.h"
#include "convert/save.h"
#include "runtime/storage.h"

namespace sterna::cli {
namespace {

using runtime::Model;
using runtime::Storage;

std::string copy_path(const std::string& path, Storage storage) {
  std::filesystem::path copy(path);
  const std::string extension = copy.extension() == ".gguf" ? ".gguf" : copy.extension().string() + ".gguf";
  copy.replace_extension(std::string(runtime::kStorageNames[static_cast<std::size_t>(storage)]) + extension);
  return copy.string();
}

bool is_copy_of(const Model::Parts& copy, const Model::Parts& parts, Storage storage) {
  return copy.origin == parts.checksum && is_stored_as(copy.weights, copy.config, storage);
}

Status write_copy(Model::Parts parts, const std::string& copy, Storage storage, runtime::ThreadPool& pool) {
  STERNA_CHECK(repack(parts, storage, pool));
  parts.origin = parts.checksum;
  ProgressLine line;
  const auto written = convert::save_model(
      parts, copy, [&](const convert::ConvertProgress& p) { line.update(p.done, p.total, "repacking"); },
      [] { return interrupted(); });
  return written ? Status{} : Status(written.error());
}

}  // namespace

void add_storage_option(CLI::App& app, std::string& storage) {
  app.add_option(
         "--storage", storage,
         "form of the ternary weights: as in the file, fast (2 bits), small (1.6 bits), or auto, what a "
         "short measurement finds faster here; the repacked copy is kept beside the file")
      ->check(CLI::IsMember({"file", "fast", "small", "auto"}))
      ->capture_default_str();
}

Result<Storage> wanted_storage(const std::string& storage, const kernels::Kernels& kernels,
                               runtime::ThreadPool& pool) {
  if (storage == "auto") return runtime::faster_storage(kernels, pool);
  return runtime::storage_named(storage);
}

Result<std::shared_ptr<const Model>> load_stored_as(const std::string& path, const std::string& storage,
                                                    const runtime::LoadOptions& options,
                                                    const kernels::Kernels& kernels,
                                                    runtime::ThreadPool& pool) {
  if (storage == "file") return convert::load_model(path, options, pool);
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    return fail("{}: --storage {} needs a model file; make one with `sterna convert`", path, storage);
  }
  // What the header says decides; the file that is run is verified when it is loaded.
  STERNA_TRY(const Model::Parts parts, runtime::load_parts(path, {.verify = false}, pool));
  const auto is_stored = [&](Storage form) { return is_stored_as(parts.weights, parts.config, form); };
  if (is_stored(Storage::fast) && is_stored(Storage::small)) return convert::load_model(path, options, pool);
  STERNA_TRY(const Storage wanted, wanted_storage(storage, kernels, pool));
  if (is_stored(wanted)) return convert::load_model(path, options, pool);

  const std::string copy = copy_path(path, wanted);
  if (std::filesystem::exists(copy, ignored)) {
    auto copied = runtime::load_parts(copy, options, pool);
    if (copied && is_copy_of(*copied, parts, wanted)) return Model::create(std::move(*copied), copy);
    if (copied && copied->origin == 0) {
      return fail("{}: is no repacked copy of {}; move it away or use --storage file", copy, path);
    }
  }
  // What is repacked gets new checksums, so it must be whole.
  STERNA_TRY(Model::Parts whole, runtime::load_parts(path, {}, pool));
  const Status written = write_copy(std::move(whole), copy, wanted, pool);
  if (interrupted()) return fail("interrupted; nothing was written to {}", copy);
  if (!written) {
    print_note("note: no repacked copy, the file is run as it is: " + written.error().message);
    return convert::load_model(path, options, pool);
  }
  return convert::load_model(copy, options, pool);
}

}  // namespace sterna::cli
