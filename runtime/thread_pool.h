// One pattern: split [0, n) over the workers, the caller is worker 0, wait for all. The pool is handed to
// whoever needs it; nobody makes one on his own.
//
// No locks and no allocation in run(): ranges are claimed from an atomic counter, several for each worker, so
// that a slow core (an efficiency core, or one that another process keeps busy) does less instead of holding
// up the rest. Who finds nothing to do spins for a moment and then sleeps, so that a busy machine gets its
// cores back.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <thread>
#include <type_traits>
#include <vector>

namespace sterna::runtime {

class ThreadPool {
 public:
  // At least 1 thread, the caller among them. pin: worker i stays on the i-th CPU that the process may use.
  explicit ThreadPool(std::size_t threads, bool pin = false);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  [[nodiscard]] std::size_t size() const { return workers_.size() + 1; }

  // body(begin, end, worker) for disjoint ranges that cover [0, n), each a multiple of `grain` long except
  // the last; a worker gets its ranges one after the other, in ascending order. Returns when all are done.
  // Must not be called from inside a body. Bodies do not throw.
  template <class Body>
  void run(std::size_t n, std::size_t grain, Body&& body) {
    using Target = std::remove_reference_t<Body>;
    run_job({n, grain, 0, const_cast<void*>(static_cast<const void*>(std::addressof(body))),
             [](void* target, std::size_t begin, std::size_t end, std::size_t worker) {
               (*static_cast<Target*>(target))(begin, end, worker);
             }});
  }

  // Ranges per worker: the last one to finish is late by at most an eighth of a worker's share.
  static constexpr std::size_t kRangesPerWorker = 8;

 private:
  struct Job {
    std::size_t n;
    std::size_t grain;
    std::size_t ranges;
    void* target;
    void (*call)(void* target, std::size_t begin, std::size_t end, std::size_t worker);
  };

  void run_job(Job job);
  void work(std::size_t worker);
  void take_ranges(std::size_t worker);
  void run_range(std::size_t range, std::size_t worker) const;

  std::vector<std::thread> workers_;
  Job job_{};  // valid while there are unclaimed or unfinished ranges; read after a claim only
  // Upper half: the number of the job, lower half: ranges that nobody has claimed. One atomic, so that a
  // worker who comes late claims a range of the present job or none.
  alignas(64) std::atomic<std::uint64_t> unclaimed_{0};
  alignas(64) std::atomic<std::uint32_t> finished_{0};
  alignas(64) std::atomic<std::uint32_t> calls_{0};  // jobs so far; what sleepers wait on
  std::atomic<bool> stop_{false};
};

}  // namespace sterna::runtime
