#include "runtime/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

namespace sterna::runtime {
namespace {

TEST(ThreadPool, CoversEveryIndexOnceInRangesOfTheGrain) {
  for (const std::size_t threads : {1U, 2U, 3U, 7U}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.size(), threads);
    for (const std::size_t n : {0U, 1U, 5U, 16U, 17U, 1000U}) {
      for (const std::size_t grain : {1U, 16U}) {
        std::vector<std::atomic<int>> seen(n);
        std::vector<std::atomic<int>> used(threads);
        pool.run(n, grain, [&](std::size_t begin, std::size_t end, std::size_t worker) {
          EXPECT_EQ(begin % grain, 0U);
          EXPECT_TRUE(end % grain == 0 || end == n);
          ++used[worker];
          for (std::size_t i = begin; i < end; ++i) ++seen[i];
        });
        for (const auto& count : seen) ASSERT_EQ(count, 1);
        for (const auto& count : used)
          ASSERT_LE(count, static_cast<int>(ThreadPool::kRangesPerWorker * threads));
      }
    }
  }
}

// What one run wrote, the next one and the caller see: the sum would be wrong (and ThreadSanitizer would say
// so) otherwise.
TEST(ThreadPool, RunsFollowEachOther) {
  ThreadPool pool(4);
  std::vector<long> values(64, 0);
  for (int round = 0; round < 2000; ++round) {
    pool.run(values.size(), 1, [&](std::size_t begin, std::size_t end, std::size_t) {
      for (std::size_t i = begin; i < end; ++i) values[values.size() - 1 - i] += static_cast<long>(i);
    });
  }
  for (std::size_t i = 0; i < values.size(); ++i)
    EXPECT_EQ(values[values.size() - 1 - i], 2000L * static_cast<long>(i));
}

// Workers have gone to sleep between the runs, or are about to.
TEST(ThreadPool, SleepingWorkersAreWoken) {
  ThreadPool pool(3);
  for (const int microseconds : {0, 30, 50, 60, 70, 2000}) {
    for (int round = 0; round < 20; ++round) {
      std::this_thread::sleep_for(std::chrono::microseconds(microseconds));
      std::atomic<std::size_t> sum{0};
      pool.run(100, 1, [&](std::size_t begin, std::size_t end, std::size_t) {
        for (std::size_t i = begin; i < end; ++i) sum += i;
      });
      ASSERT_EQ(sum, 4950U);
    }
  }
}

// More threads than any machine here has cores: ranges of threads that are not running must not be waited for
// before they begin.
TEST(ThreadPool, ManyThreadsOnFewCoresFinish) {
  ThreadPool pool(40);
  std::atomic<std::size_t> sum{0};
  for (int round = 0; round < 200; ++round) {
    pool.run(1000, 1, [&](std::size_t begin, std::size_t end, std::size_t) { sum += end - begin; });
  }
  EXPECT_EQ(sum, 200000U);
}

TEST(ThreadPool, PinnedThreadsComputeTheSame) {
  std::thread([] {  // the calling thread is pinned, too: not the one of the other tests
    ThreadPool pool(2, true);
    std::atomic<std::size_t> sum{0};
    pool.run(10, 1, [&](std::size_t begin, std::size_t end, std::size_t) { sum += end - begin; });
    EXPECT_EQ(sum, 10U);
  })
      .join();
}

}  // namespace
}  // namespace sterna::runtime
