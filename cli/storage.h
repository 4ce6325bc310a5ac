// --storage: runs a model whose file holds its ternary weights in another form than this machine likes best.
#pragma once

#include <memory>
#include <string>

#include "kernels/registry.h"
#include "runtime/model.h"
#include "runtime/result.h"
#include "runtime/storage.h"
#include "runtime/thread_pool.h"

namespace CLI {
class App;
}

namespace sterna::cli {

void add_storage_option(CLI::App& app, std::string& storage);

// The form that "fast", "small" or "auto" asks for.
Result<runtime::Storage> wanted_storage(const std::string& storage, const kernels::Kernels& kernels,
                                        runtime::ThreadPool& pool);

// "file": as it is. "fast", "small": in that form, from a copy beside the file (model.gguf:
// model.small.gguf), which is made the first time and again when the file has changed. "auto": in the form
// that a short measurement finds faster. Where no copy can be written the file is run as it is, with a note.
Result<std::shared_ptr<const runtime::Model>> load_stored_as(const std::string& path,
                                                             const std::string& storage,
                                                             const runtime::LoadOptions& options,
                                                             const kernels::Kernels& kernels,
                                                             runtime::ThreadPool& pool);

}  // namespace sterna::cli
