#include "runtime/cpu_count.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/support/temp_dir.h"

namespace sterna::runtime {
namespace {

void write(const std::filesystem::path& path, const std::string& text) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path) << text;
}

class CpuCountTest : public ::testing::Test {
 protected:
  void siblings(int cpu, const std::string& list) {
    write(file("sys/devices/system/cpu") / ("cpu" + std::to_string(cpu)) / "topology/thread_siblings_list",
          list + "\n");
  }
  std::string root() { return dir_.path(); }
  std::filesystem::path file(const std::string& name) { return dir_.file(name); }
  testing::TempDir dir_;
};

TEST_F(CpuCountTest, HardwareThreadsOfACoreCountOnce) {
  for (const int cpu : {0, 4}) siblings(cpu, "0,4");
  for (const int cpu : {1, 5}) siblings(cpu, "1,5");
  siblings(2, "2");
  EXPECT_EQ(count_cores({0, 1, 2, 4, 5}, root()), 3U);
  EXPECT_EQ(count_cores({4}, root()), 1U);
}

TEST_F(CpuCountTest, WithoutTopologyEveryCpuIsACore) { EXPECT_EQ(count_cores({0, 1, 7}, root()), 3U); }

TEST_F(CpuCountTest, TheSmallestQuotaOfTheGroupsCounts) {
  EXPECT_EQ(cpu_quota(root()), std::nullopt);
  write(file("proc/self/cgroup"), "0::/a/b\n");
  write(file("sys/fs/cgroup/a/b/cpu.max"), "max 100000\n");
  EXPECT_EQ(cpu_quota(root()), std::nullopt);
  write(file("sys/fs/cgroup/a/cpu.max"), "150000 100000\n");
  EXPECT_EQ(cpu_quota(root()), 1.5);
  write(file("sys/fs/cgroup/cpu.max"), "50000 100000\n");
  EXPECT_EQ(cpu_quota(root()), 0.5);
}

TEST_F(CpuCountTest, TheFirstVersionOfControlGroupsIsRead) {
  write(file("sys/fs/cgroup/cpu/cpu.cfs_quota_us"), "-1\n");
  write(file("sys/fs/cgroup/cpu/cpu.cfs_period_us"), "100000\n");
  EXPECT_EQ(cpu_quota(root()), std::nullopt);
  write(file("sys/fs/cgroup/cpu/cpu.cfs_quota_us"), "200000\n");
  EXPECT_EQ(cpu_quota(root()), 2.0);
}

TEST_F(CpuCountTest, TextThatIsNoQuotaGrantsNothing) {
  for (const char* text : {"", "max 100000", "0 100000", "-1 100000", "100000", "100000 0", "x y"}) {
    EXPECT_EQ(parse_cpu_max(text), std::nullopt) << text;
  }
}

TEST(CpuCount, ThisProcessHasACore) { EXPECT_GE(usable_cores(), 1U); }

}  // namespace
}  // namespace sterna::runtime
