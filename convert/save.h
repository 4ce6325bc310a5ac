// A model that is in memory, written as a Sterna file.
#pragma once

#include <functional>
#include <string>

#include "convert/convert.h"
#include "runtime/model.h"
#include "runtime/result.h"

namespace sterna::convert {

// Of a model whose tokenizer's lists are still there: parts that have not been through Model::create().
// Returns the size of the file. Writes beside `output` and renames when the file is whole; on an error, or
// when `cancelled` returns true, nothing is left under `output`.
Result<std::uint64_t> save_model(const runtime::Model::Parts& parts, const std::string& output,
                                 const ProgressSink& progress, const std::function<bool()>& cancelled);

}  // namespace sterna::convert
