#include "runtime/thread_pool.h"

#include <sched.h>

#include <algorithm>
#include <cassert>

namespace sterna::runtime {

ThreadPool::ThreadPool(std::size_t threads) {
  for (std::size_t worker = 1; worker < threads; ++worker) {
    workers_.emplace_back([this, worker] { work(worker); });
  }
}

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  start_.notify_all();
  for (std::thread& thread : workers_) thread.join();
}

std::size_t ThreadPool::default_threads() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0)
    return static_cast<std::size_t>(std::max(1, CPU_COUNT(&set)));
  return std::max(1U, std::thread::hardware_concurrency());
}

// Worker w takes the grains [w * G / workers, (w + 1) * G / workers): contiguous, sizes differ by at most
// one.
void ThreadPool::run_part(std::size_t worker) {
  const std::size_t grains = (n_ + grain_ - 1) / grain_;
  const std::size_t begin = grains * worker / size() * grain_;
  const std::size_t end = std::min(n_, grains * (worker + 1) / size() * grain_);
  if (begin < end) (*body_)(begin, end, worker);
}

void ThreadPool::work(std::size_t worker) {
  std::size_t seen = 0;
  while (true) {
    {
      std::unique_lock lock(mutex_);
      start_.wait(lock, [&] { return stop_ || generation_ != seen; });
      if (stop_) return;
      seen = generation_;
    }
    run_part(worker);
    const std::lock_guard lock(mutex_);
    if (--running_ == 0) done_.notify_one();
  }
}

void ThreadPool::run(std::size_t n, std::size_t grain, const Body& body) {
  assert(grain > 0);
  if (n == 0) return;
  if (workers_.empty() || n <= grain) {
    body(0, n, 0);
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    body_ = &body;
    n_ = n;
    grain_ = grain;
    running_ = workers_.size();
    ++generation_;
  }
  start_.notify_all();
  run_part(0);
  std::unique_lock lock(mutex_);
  done_.wait(lock, [&] { return running_ == 0; });
  body_ = nullptr;
}

}  // namespace sterna::runtime
