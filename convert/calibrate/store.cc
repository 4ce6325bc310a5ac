#include "convert/calibrate/store.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace sterna::convert {

Result<ActivationStore> ActivationStore::create(std::size_t tokens, std::size_t width, std::size_t& budget,
                                                const std::string& folder) {
  ActivationStore store(width, folder);
  const std::size_t bytes = tokens * width * sizeof(float);
  if (bytes <= budget) {
    budget -= bytes;
    store.memory_.resize(tokens * width);
    return store;
  }
  std::string path = folder + "/activations-XXXXXX";
  store.descriptor_ = ::mkostemp(path.data(), O_CLOEXEC);
  if (store.descriptor_ < 0) return fail("{}: cannot make a file there: {}", folder, std::strerror(errno));
  ::unlink(path.c_str());
  if (::ftruncate(store.descriptor_, static_cast<off_t>(bytes)) != 0) {
    return fail("{}: no room for {} bytes of activations: {}", folder, bytes, std::strerror(errno));
  }
  return store;
}

ActivationStore::ActivationStore(ActivationStore&& other) noexcept
    : width_(other.width_),
      folder_(std::move(other.folder_)),
      memory_(std::move(other.memory_)),
      descriptor_(std::exchange(other.descriptor_, -1)) {}

ActivationStore::~ActivationStore() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Status ActivationStore::read(std::size_t first, std::span<float> rows) const {
  assert(rows.size() % width_ == 0);
  if (in_memory()) {
    std::copy_n(memory_.data() + first * width_, rows.size(), rows.data());
    return {};
  }
  auto bytes = std::as_writable_bytes(rows);
  auto offset = static_cast<off_t>(first * width_ * sizeof(float));
  while (!bytes.empty()) {
    const ssize_t n = ::pread(descriptor_, bytes.data(), bytes.size(), offset);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return fail("{}: activations cannot be read: {}", folder_, std::strerror(errno));
    bytes = bytes.subspan(static_cast<std::size_t>(n));
    offset += n;
  }
  return {};
}

Status ActivationStore::write(std::size_t first, std::span<const float> rows) {
  assert(rows.size() % width_ == 0);
  if (in_memory()) {
    std::copy_n(rows.data(), rows.size(), memory_.data() + first * width_);
    return {};
  }
  auto bytes = std::as_bytes(rows);
  auto offset = static_cast<off_t>(first * width_ * sizeof(float));
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(descriptor_, bytes.data(), bytes.size(), offset);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      return fail("{}: activations cannot be written: {}; make room there", folder_, std::strerror(errno));
    }
    bytes = bytes.subspan(static_cast<std::size_t>(n));
    offset += n;
  }
  return {};
}

}  // namespace sterna::convert
