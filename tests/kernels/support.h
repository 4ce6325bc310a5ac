// What the kernel tests share: every kernel table as a test parameter, buffers that end where memory ends,
// seeded numbers, bitwise comparison.
#pragma once

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "kernels/registry.h"

namespace sterna::kernels {

inline const Kernels& scalar_kernels() { return *all_kernels().front(); }

// A test with one instance per kernel table of the binary.
class KernelTest : public testing::TestWithParam<const Kernels*> {
 protected:
  void SetUp() override {
    if (!supported(kernels().isa)) GTEST_SKIP() << "this machine has no " << kernels().name;
  }
  static const Kernels& kernels() { return *GetParam(); }
};

#define STERNA_FOR_ALL_KERNELS(Suite)                                                                 \
  INSTANTIATE_TEST_SUITE_P(Isa, Suite, testing::ValuesIn(all_kernels().begin(), all_kernels().end()), \
                           [](const auto& kernels_info) { return std::string(kernels_info.param->name); })

// n elements whose end is the end of readable memory: one byte read or written too far is a segmentation
// fault, and what lies in front must stay as it was. The start is aligned for T and no more.
template <class T>
class GuardedBuffer {
 public:
  explicit GuardedBuffer(std::size_t n, T fill = {}) : size_(n) {
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    const std::size_t bytes = round_up(n * sizeof(T) + kFrontBytes, page);
    mapped_ = bytes + page;
    base_ = static_cast<unsigned char*>(
        mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (base_ == MAP_FAILED || mprotect(base_ + bytes, page, PROT_NONE) != 0) std::abort();
    data_ = reinterpret_cast<T*>(base_ + bytes - n * sizeof(T));
    std::memset(front(), kCanary, kFrontBytes);
    std::fill_n(data_, n, fill);
  }
  explicit GuardedBuffer(const std::vector<T>& v) : GuardedBuffer(v.size()) {
    std::copy(v.begin(), v.end(), data_);
  }
  GuardedBuffer(const GuardedBuffer&) = delete;
  GuardedBuffer& operator=(const GuardedBuffer&) = delete;
  ~GuardedBuffer() {
    const auto untouched = [](unsigned char byte) { return byte == kCanary; };
    EXPECT_TRUE(std::all_of(front(), front() + kFrontBytes, untouched)) << "written before the buffer";
    munmap(base_, mapped_);
  }

  [[nodiscard]] std::size_t size() const { return size_; }
  T* data() { return data_; }
  const T* data() const { return data_; }
  T* begin() { return data_; }
  T* end() { return data_ + size_; }
  T& operator[](std::size_t i) { return data_[i]; }
  const T& operator[](std::size_t i) const { return data_[i]; }

 private:
  static constexpr std::size_t kFrontBytes = 256;
  static constexpr unsigned char kCanary = 0xA5;
  unsigned char* front() { return reinterpret_cast<unsigned char*>(data_) - kFrontBytes; }

  std::size_t size_;
  std::size_t mapped_ = 0;
  unsigned char* base_ = nullptr;
  T* data_ = nullptr;
};

class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}
  int integer(int low, int high) { return std::uniform_int_distribution<int>(low, high)(engine_); }
  std::uint32_t bits() { return static_cast<std::uint32_t>(engine_()); }
  float normal(float deviation = 1.0f) { return std::normal_distribution<float>(0, deviation)(engine_); }
  std::vector<float> normals(std::size_t n, float deviation = 1.0f) {
    std::vector<float> v(n);
    for (float& x : v) x = normal(deviation);
    return v;
  }

 private:
  std::mt19937_64 engine_;
};

inline std::uint32_t bits_of(float x) {
  std::uint32_t u = 0;
  std::memcpy(&u, &x, sizeof u);
  return u;
}

inline float float_of(std::uint32_t u) {
  float x = 0;
  std::memcpy(&x, &u, sizeof x);
  return x;
}

// The promise of lanes.h: the same bits, or NaN both.
inline bool same(float a, float b) { return bits_of(a) == bits_of(b) || (std::isnan(a) && std::isnan(b)); }

// Results that a test expects to be left alone: a NaN with a payload of its own.
inline constexpr std::uint32_t kUntouchedBits = 0x7FC5A5A5;
inline float untouched() { return float_of(kUntouchedBits); }

// Additions that an element of a sum of n goes through before the tree of four: those of its lane.
inline double lane_additions(std::size_t n) {
  const std::size_t additions = (n + 15) / 16;
  return static_cast<double>(additions);
}

// One rounding of a float32 operation is at most this times the result.
inline constexpr double kUnit = 0x1p-24;
// An addition that underflows is exact; a product or quotient may lose half of the smallest subnormal.
inline constexpr double kSmallest = 0x1p-149;
inline constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
inline constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Around the lanes (16), the groups (128), and sizes that models have.
inline const std::vector<std::size_t> kLengths = {1,   2,   3,    8,    15,   16,   17,   31,
                                                  32,  33,  37,   64,   100,  127,  128,  129,
                                                  172, 576, 1536, 2560, 5460, 6912, 8640, 16384};

}  // namespace sterna::kernels
