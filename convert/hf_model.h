// A Hugging Face directory as a model to run: float weights stay as stored and are mapped; what was trained
// ternary is packed into memory, exactly as the converter would pack it.
#pragma once

#include <memory>
#include <string>

#include "runtime/model.h"
#include "runtime/result.h"
#include "runtime/thread_pool.h"

namespace sterna::convert {

Result<std::shared_ptr<const runtime::Model>> load_hf_model(const std::string& directory,
                                                            const runtime::LoadOptions& options,
                                                            runtime::ThreadPool& pool);

// A model file or a Hugging Face directory.
Result<std::shared_ptr<const runtime::Model>> load_model(const std::string& path,
                                                         const runtime::LoadOptions& options,
                                                         runtime::ThreadPool& pool);

}  // namespace sterna::convert
