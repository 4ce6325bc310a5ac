// The contents of a model file's tensors, compared with what its descriptors promise: one pass over the bytes
// on all threads, since reading the file once from memory is what the start of a program takes longest for.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>

#include "runtime/model_file.h"
#include "runtime/thread_pool.h"

namespace sterna::runtime {

// Checksum, codes that trits have, scales finite, the bounds of split rows those of their values; of several
// damaged tensors the first in file order is named. after(tensor, piece) follows each piece of a tensor that
// has been read (a split one is read twice), from several threads at once.
using PieceSink = std::function<void(const StoredModel::Tensor& tensor, std::span<const std::byte> piece)>;
Status verify_tensors(const StoredModel& model, const std::string& where, ThreadPool& pool,
                      const PieceSink& after = nullptr);

}  // namespace sterna::runtime
