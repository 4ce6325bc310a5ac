#include "runtime/thread_pool.h"

#include <pthread.h>

#include <algorithm>
#include <cassert>
#include <chrono>

#include "runtime/cpu_count.h"

namespace sterna::runtime {
namespace {

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("isb");
#endif
}

// Spins until value != old, for some 50 us at most, and then sleeps: longer than what lies between two
// products of a token, shorter than anyone notices.
std::uint32_t wait_for_change(const std::atomic<std::uint32_t>& value, std::uint32_t old) {
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + std::chrono::microseconds(50);
  do {
    for (int i = 0; i < 32; ++i) {
      const std::uint32_t now = value.load(std::memory_order_acquire);
      if (now != old) return now;
      pause();
    }
  } while (Clock::now() < end);
  value.wait(old, std::memory_order_acquire);
  return value.load(std::memory_order_acquire);
}

void pin_to(pthread_t thread, int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<std::size_t>(cpu), &set);
  pthread_setaffinity_np(thread, sizeof set, &set);  // refused: the thread stays where it is
}

}  // namespace

ThreadPool::ThreadPool(std::size_t threads, bool pin) {
  const std::vector<int> cpus = pin ? allowed_cpus() : std::vector<int>{};
  if (!cpus.empty()) pin_to(pthread_self(), cpus[0]);
  for (std::size_t worker = 1; worker < threads; ++worker) {
    workers_.emplace_back([this, worker] { work(worker); });
    if (!cpus.empty()) pin_to(workers_.back().native_handle(), cpus[worker % cpus.size()]);
  }
}

ThreadPool::~ThreadPool() {
  stop_.store(true, std::memory_order_relaxed);
  calls_.fetch_add(1, std::memory_order_release);
  calls_.notify_all();
  for (std::thread& thread : workers_) thread.join();
}

void ThreadPool::run_range(std::size_t range, std::size_t worker) const {
  const std::size_t grains = (job_.n + job_.grain - 1) / job_.grain;
  const std::size_t begin = grains * range / job_.ranges * job_.grain;
  const std::size_t end = std::min(job_.n, grains * (range + 1) / job_.ranges * job_.grain);
  job_.call(job_.target, begin, end, worker);
}

void ThreadPool::take_ranges(std::size_t worker) {
  constexpr std::uint64_t kCount = 0xFFFFFFFFU;
  std::uint64_t state = unclaimed_.load(std::memory_order_acquire);
  while ((state & kCount) != 0) {
    if (!unclaimed_.compare_exchange_weak(state, state - 1, std::memory_order_acq_rel)) continue;
    const std::size_t ranges = job_.ranges;
    run_range(ranges - (state & kCount), worker);
    // From here on the caller may return, so the job is no longer touched.
    if (finished_.fetch_add(1, std::memory_order_acq_rel) + 1 == ranges) finished_.notify_one();
    state = unclaimed_.load(std::memory_order_acquire);
  }
}

void ThreadPool::work(std::size_t worker) {
  std::uint32_t seen = 0;
  while (true) {
    seen = wait_for_change(calls_, seen);
    if (stop_.load(std::memory_order_relaxed)) return;
    take_ranges(worker);
  }
}

void ThreadPool::run_job(Job job) {
  assert(job.grain > 0);
  if (job.n == 0) return;
  const std::size_t grains = (job.n + job.grain - 1) / job.grain;
  if (workers_.empty() || grains == 1) return job.call(job.target, 0, job.n, 0);
  job.ranges = std::min(grains, size() * kRangesPerWorker);
  job_ = job;
  const auto ranges = static_cast<std::uint32_t>(job.ranges);
  finished_.store(0, std::memory_order_relaxed);
  const std::uint64_t number = calls_.load(std::memory_order_relaxed) + std::uint64_t{1};
  unclaimed_.store(number << 32 | ranges, std::memory_order_release);
  calls_.fetch_add(1, std::memory_order_release);
  calls_.notify_all();  // costs a system call only when someone sleeps
  take_ranges(0);
  std::uint32_t finished = finished_.load(std::memory_order_acquire);
  while (finished != ranges) finished = wait_for_change(finished_, finished);
}

}  // namespace sterna::runtime
