#include "runtime/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
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
        for (const auto& count : used) ASSERT_LE(count, 1);
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

TEST(ThreadPool, DefaultIsWhatTheProcessMayUse) { EXPECT_GE(ThreadPool::default_threads(), 1U); }

}  // namespace
}  // namespace sterna::runtime
