// Memory for activations and caches: 64-byte aligned, zero on first touch, so that what is never used costs
// no RSS.
#pragma once

#include <sys/mman.h>

#include <cassert>
#include <cstddef>
#include <span>
#include <utility>

#include "runtime/result.h"

namespace sterna::runtime {

template <class T>
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  AlignedBuffer(AlignedBuffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  AlignedBuffer(const AlignedBuffer&) = delete;
  AlignedBuffer& operator=(const AlignedBuffer&) = delete;
  ~AlignedBuffer() {
    if (data_ != nullptr) ::munmap(data_, size_ * sizeof(T));
  }

  // Whole pages from the kernel: the smallest buffers waste some address space, none of them matters.
  static Result<AlignedBuffer> create(std::size_t size, const char* what) {
    AlignedBuffer buffer;
    if (size == 0) return buffer;
    const std::size_t bytes = size * sizeof(T);
    void* data = size > (std::size_t{1} << 48) / sizeof(T)
                     ? MAP_FAILED  // NOLINT(performance-no-int-to-ptr)
                     : ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (data == MAP_FAILED) {  // NOLINT(performance-no-int-to-ptr)
      return fail("no memory for {} ({:.1f} MiB); a smaller context (-c) needs less", what,
                  static_cast<double>(bytes) / (1 << 20));
    }
    buffer.data_ = static_cast<T*>(data);
    buffer.size_ = size;
    return buffer;
  }

  [[nodiscard]] T* data() { return data_; }
  [[nodiscard]] const T* data() const { return data_; }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::span<T> span() { return {data_, size_}; }

 private:
  T* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace sterna::runtime
