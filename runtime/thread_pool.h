// One pattern: split [0, n) over the workers, the caller is worker 0, wait for all. The pool is handed to
// whoever needs it; nobody makes one on his own.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace sterna::runtime {

class ThreadPool {
 public:
  explicit ThreadPool(std::size_t threads);  // at least 1
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  [[nodiscard]] std::size_t size() const { return workers_.size() + 1; }

  // body(begin, end, worker) for disjoint ranges that cover [0, n), each a multiple of `grain` long except
  // the last; at most one range per worker. Returns when all are done. Must not be called from inside a body.
  using Body = std::function<void(std::size_t begin, std::size_t end, std::size_t worker)>;
  void run(std::size_t n, std::size_t grain, const Body& body);

  // CPUs that this process may use (affinity mask), at least 1.
  static std::size_t default_threads();

 private:
  void work(std::size_t worker);
  void run_part(std::size_t worker);

  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::condition_variable start_;
  std::condition_variable done_;
  const Body* body_ = nullptr;
  std::size_t n_ = 0;
  std::size_t grain_ = 1;
  std::size_t generation_ = 0;
  std::size_t running_ = 0;
  bool stop_ = false;
};

}  // namespace sterna::runtime
