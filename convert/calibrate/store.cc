#include "convert/calibrate/store.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace sterna::convert {

Result<ActivationStore> ActivationStore::create(std::size_t tokens, std::size_t width, std::size_t& budget,
                                                const std::string& folder) {
  ActivationStore store(width);
  const std::size_t bytes = tokens * width * sizeof(float);
  if (bytes <= budget) {
    budget -= bytes;
    store.memory_.resize(tokens * width);
    return store;
  }
  STERNA_TRY(runtime::ScratchFile file, runtime::ScratchFile::create(folder, bytes));
  store.file_.emplace(std::move(file));
  return store;
}

Status ActivationStore::read(std::size_t first, std::span<float> rows) const {
  assert(rows.size() % width_ == 0);
  if (file_) return file_->read_at(first * width_ * sizeof(float), std::as_writable_bytes(rows));
  std::copy_n(memory_.data() + first * width_, rows.size(), rows.data());
  return {};
}

Status ActivationStore::write(std::size_t first, std::span<const float> rows) {
  assert(rows.size() % width_ == 0);
  if (file_) return file_->write_at(first * width_ * sizeof(float), std::as_bytes(rows));
  std::copy_n(rows.data(), rows.size(), memory_.data() + first * width_);
  return {};
}

}  // namespace sterna::convert
