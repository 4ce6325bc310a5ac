// A token allocates nothing once a session exists: memory that is asked for inside the loop costs time in
// every token, and a machine that is short of it fails in the middle of an answer.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "runtime/session.h"
#include "runtime/synthetic.h"
#include "tests/support/engine.h"
#include "tests/support/small_config.h"

namespace {
std::atomic<std::size_t> allocations{0};
}

void* operator new(std::size_t size) {
  ++allocations;
  if (void* p = std::malloc(size)) return p;
  throw std::bad_alloc();
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }

namespace sterna::runtime {
namespace {

TEST(Allocation, DecodingATokenAllocatesNothing) {
  for (const std::size_t threads : {1U, 3U}) {
    ThreadPool pool(threads);
    const auto model = synthetic_model(testing::small_config(), pool);
    ASSERT_TRUE(model);
    auto session = Session::create(*model, {}, testing::test_kernels(), pool);
    ASSERT_TRUE(session);
    const TokenId prompt[] = {1, 2, 3, 4, 5};
    ASSERT_TRUE((*session)->append(prompt));
    ASSERT_GT(allocations.load(), 0U) << "the counter counts";
    const std::size_t before = allocations.load();
    bool ok = true;
    for (int i = 0; i < 20; ++i) ok = (*session)->append(std::span(prompt).first(1)).ok() && ok;
    const LogitsNeed greedy{1};  // the head in two passes
    for (int i = 0; i < 20; ++i) ok = (*session)->append(std::span(prompt).first(1), greedy).ok() && ok;
    EXPECT_EQ(allocations.load(), before) << threads << " threads";
    EXPECT_TRUE(ok);
  }
}

}  // namespace
}  // namespace sterna::runtime
