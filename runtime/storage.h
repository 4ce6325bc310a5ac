// In which of its forms (kernels/views.h, CodeForm) a ternary matrix is stored. All hold the same weights and
// give the same results; they differ in bytes and in speed.
#pragma once

#include <array>
#include <string_view>

#include "kernels/registry.h"
#include "runtime/aligned_buffer.h"
#include "runtime/model.h"
#include "runtime/result.h"
#include "runtime/thread_pool.h"

namespace sterna::runtime {

enum class Storage : std::uint8_t {
  fast,   // two bits for one plane; more planes folded, which is both smaller and faster
  small,  // five trits a byte for one plane with one scale; more planes folded
};
inline constexpr std::array<std::string_view, 2> kStorageNames{"fast", "small"};  // in the order of the enum

[[nodiscard]] inline Storage storage_named(std::string_view name) {  // of kStorageNames
  return name == kStorageNames[1] ? Storage::small : Storage::fast;
}

// The form of a matrix of so many planes; group as in kernels::TernaryView.
[[nodiscard]] kernels::CodeForm form_of(Storage storage, std::size_t planes, std::size_t group);

// The same matrix in another form, which must take its planes and groups (form_of()): its codes, as many as
// code_bytes() of the view with that form. Errors: no memory.
Result<AlignedBuffer<std::uint8_t>> repack(const kernels::TernaryView& w, kernels::CodeForm form,
                                           ThreadPool& pool);

// All ternary matrices of a model; what has another form already is left as it is.
Status repack(Model::Parts& parts, Storage storage, ThreadPool& pool);

// What of one plane is read faster on this machine, from memory, by all threads of the pool: two products
// with a token, in turn, of matrices of so many bytes together; 0: twice the last cache, at most 512 MiB (a
// few tenths of a second). `small` only if it is faster by more than such a measurement is uncertain.
[[nodiscard]] Result<Storage> faster_storage(const kernels::Kernels& kernels, ThreadPool& pool,
                                             std::size_t bytes = 0);

// Whether no matrix would change.
[[nodiscard]] bool is_stored_as(const Weights& weights, const ModelConfig& config, Storage storage);

}  // namespace sterna::runtime
