#include "runtime/cpu_count.h"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <set>
#include <sstream>
#include <thread>

namespace sterna::runtime {
namespace {

std::string first_line(const std::string& path) {
  std::string line;
  std::ifstream file(path);
  std::getline(file, line);
  return line;
}

// This process's place in the unified hierarchy: the line "0::/path".
std::string cgroup_path(const std::string& root) {
  std::ifstream file(root + "/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("0::")) return line.substr(3);
  }
  return {};
}

// Version 1 keeps quota and period in two files; -1: none.
std::optional<double> quota_of_version1(const std::string& root) {
  const std::string folder = root + "/sys/fs/cgroup/cpu/";
  return parse_cpu_max(first_line(folder + "cpu.cfs_quota_us") + " " +
                       first_line(folder + "cpu.cfs_period_us"));
}

}  // namespace

std::string cpu_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("model name")) return line.substr(std::min(line.size(), line.find(':') + 2));
  }
  return "unknown CPU";
}

std::vector<int> allowed_cpus() {
  std::vector<int> cpus;
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(static_cast<std::size_t>(cpu), &set)) cpus.push_back(cpu);
  }
  return cpus;
}

std::size_t count_cores(const std::vector<int>& cpus, const std::string& root) {
  std::set<std::string> cores;
  for (const int cpu : cpus) {
    const std::string siblings =
        first_line(fmt::format("{}/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list", root, cpu));
    cores.insert(siblings.empty() ? fmt::format("cpu {}", cpu) : siblings);
  }
  return cores.size();
}

std::optional<double> parse_cpu_max(std::string_view text) {
  std::istringstream in{std::string(text)};
  double quota = 0;
  double period = 0;
  if (!(in >> quota >> period) || quota <= 0 || period <= 0) return std::nullopt;
  return quota / period;
}

std::optional<double> cpu_quota(const std::string& root) {
  std::optional<double> least = quota_of_version1(root);
  // A limit may stand at any group above this one. Inside a container the path is often not visible, and the
  // root's file is the container's.
  std::string path = cgroup_path(root);
  while (true) {
    const auto here = parse_cpu_max(first_line(fmt::format("{}/sys/fs/cgroup{}/cpu.max", root, path)));
    if (here) least = std::min(least.value_or(*here), *here);
    const std::size_t slash = path.find_last_of('/');
    if (slash == std::string::npos) return least;
    path.erase(slash);
  }
}

std::size_t usable_cores() {
  const std::vector<int> cpus = allowed_cpus();
  const std::size_t cores = cpus.empty() ? std::thread::hardware_concurrency() : count_cores(cpus, "");
  const double quota = std::ceil(cpu_quota("").value_or(static_cast<double>(cores)));
  return std::max<std::size_t>(1, std::min(cores, static_cast<std::size_t>(quota)));
}

}  // namespace sterna::runtime
