#include "bench/limits.h"

#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <vector>

#include "kernels/registry.h"

namespace sterna::bench {
namespace {

constexpr const Probe* kAll[] = {
    &kScalarProbe,
#if defined(__x86_64__)
    &kAvx2Probe,   &kAvxVnniProbe, &kAvx512Probe, &kAvx512VnniProbe,
#elif defined(__aarch64__)
    &kNeonProbe,
    &kNeonDotProbe,
    &kNeonI8mmProbe,
#endif
};

// The best of several: whatever disturbs a run makes it slower.
template <class Body>
double fastest(int rounds, Body body) {
  double best = 1e9;
  for (int i = 0; i < rounds; ++i) {
    const double start = thread_seconds();
    body();
    best = std::min(best, thread_seconds() - start);
  }
  return best;
}

// Memory of our own on huge pages, where there are any: small ones cost a page walk each 4 KB.
class Buffer {
 public:
  explicit Buffer(std::size_t bytes) : bytes_(bytes) {
    void* data = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (data == MAP_FAILED) {
      std::fprintf(stderr, "kernels_bench: no memory for a buffer of %zu MiB\n", bytes >> 20);
      std::exit(1);
    }
    ::madvise(data, bytes, MADV_HUGEPAGE);
    words_ = static_cast<std::uint64_t*>(data);
    for (std::size_t i = 0; i < bytes / sizeof *words_; ++i) words_[i] = i * 0x9E3779B97F4A7C15u;
  }
  ~Buffer() { ::munmap(words_, bytes_); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  [[nodiscard]] const std::uint64_t* data() const { return words_; }

 private:
  std::uint64_t* words_;
  std::size_t bytes_;
};

std::size_t cache_bytes(int name, std::size_t otherwise) {
  const long bytes = ::sysconf(name);
  return bytes > 0 ? static_cast<std::size_t>(bytes) : otherwise;
}

std::size_t whole_lines(std::size_t bytes) { return bytes / 4096 * 4096; }

// A buffer of half a cache stays in it. Of the last level less will do: it is shared, and a machine may grant
// only a part of what it reports.
std::vector<Level> find_levels() {
  const std::size_t l1 = cache_bytes(_SC_LEVEL1_DCACHE_SIZE, std::size_t{32} << 10);
  const std::size_t l2 = cache_bytes(_SC_LEVEL2_CACHE_SIZE, std::size_t{512} << 10);
  const std::size_t l3 = cache_bytes(_SC_LEVEL3_CACHE_SIZE, 0);
  std::vector<Level> levels = {{"L1", l1, whole_lines(l1 / 2)}, {"L2", l2, whole_lines(l2 / 2)}};
  if (l3 > l2) levels.push_back({"L3", l3, whole_lines(std::min(l3 / 2, 8 * l2))});
  const std::size_t memory = std::min(std::size_t{1} << 30, 4 * std::max({l1, l2, l3}));
  levels.push_back({"memory", SIZE_MAX, whole_lines(std::max(memory, std::size_t{64} << 20))});
  return levels;
}

double measure_read(const Level& level) {
  const Buffer buffer(level.buffer_bytes);
  const Probe& widest = *probes().back();
  const std::size_t passes = std::max<std::size_t>(1, (std::size_t{256} << 20) / level.buffer_bytes);
  std::uint64_t seen = 0;
  const double seconds = fastest(5, [&] {
    for (std::size_t i = 0; i < passes; ++i) seen ^= widest.read(buffer.data(), level.buffer_bytes);
    asm volatile("" : "+r"(seen));
  });
  return static_cast<double>(passes * level.buffer_bytes) / seconds;
}

}  // namespace

double thread_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

std::span<const Probe* const> probes() {
  static const std::vector<const Probe*> here = [] {
    std::vector<const Probe*> list;
    std::copy_if(std::begin(kAll), std::end(kAll), std::back_inserter(list),
                 [](const Probe* probe) { return kernels::supported(probe->isa); });
    return list;
  }();
  return here;
}

double peak_multiply_adds(kernels::Isa isa) {
  static std::map<kernels::Isa, double> measured;
  const auto probe =
      std::find_if(probes().begin(), probes().end(), [&](const Probe* p) { return p->isa == isa; });
  if (probe == probes().end() || (*probe)->multiply == nullptr) return 0.0;
  const auto [at, is_new] = measured.emplace(isa, 0.0);
  if (is_new) {
    constexpr std::size_t kSteps = 400'000;  // 1 to 2 ms
    std::uint32_t sum = 0;
    const double seconds = fastest(25, [&] {
      sum += (*probe)->multiply(kSteps);
      asm volatile("" : "+r"(sum));
    });
    at->second = static_cast<double>(kSteps) * (*probe)->multiply_adds / seconds;
  }
  return at->second;
}

std::span<const Level> levels() {
  static const std::vector<Level> found = find_levels();
  return found;
}

const Level& level_of(std::size_t bytes) {
  return *std::find_if(levels().begin(), levels().end(), [&](const Level& l) { return bytes <= l.size; });
}

double read_bandwidth(const Level& level) {
  static std::map<std::string, double> measured;
  const auto [at, is_new] = measured.emplace(level.name, 0.0);
  if (is_new) at->second = measure_read(level);
  return at->second;
}

bool is_right(const Probe& probe) {
  constexpr std::size_t kSteps = 1001;
  if (probe.multiply != nullptr && probe.multiply(kSteps) != (kSteps * probe.per_step & probe.result_mask)) {
    return false;
  }
  const Buffer buffer(1 << 16);
  std::uint64_t expected = 0;
  for (std::size_t i = 0; i < (1 << 16) / sizeof expected; ++i) expected ^= buffer.data()[i];
  return probe.read(buffer.data(), 1 << 16) == expected;
}

}  // namespace sterna::bench
