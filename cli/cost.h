// What a model costs on this machine: its size, and speed, memory and load time of a process of its own.
#pragma once

#include <cstddef>
#include <string>

#include "eval/results.h"
#include "runtime/result.h"
#include "runtime/thread_pool.h"

namespace sterna::cli {

// Runs this program's own `bench` on the model, so that memory is that of one model alone, in its default
// form: the KV cache in f16. `context` is the longest that the model was made for. Errors: what bench says.
Result<eval::Cost> measure_cost(const std::string& model, std::size_t context, std::size_t threads,
                                runtime::ThreadPool& pool);

}  // namespace sterna::cli
