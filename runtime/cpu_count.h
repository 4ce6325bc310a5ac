// The processor: its name, and how many threads pay on it: physical cores, as far as this process may use
// them.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sterna::runtime {

// What the processor calls itself, for people.
std::string cpu_name();

// The CPUs of the affinity mask, ascending; empty if the system does not say.
std::vector<int> allowed_cpus();

// Physical cores among the allowed CPUs, not more than the cgroup's quota grants (rounded up), at least 1. A
// second hardware thread of a core adds next to nothing to a loop that keeps its vector units or the memory
// busy.
std::size_t usable_cores();

// The parts of it, for tests: /sys and /proc are read below `root`.
std::size_t count_cores(const std::vector<int>& cpus, const std::string& root);
std::optional<double> cpu_quota(const std::string& root);

// CPUs that the text of a cpu.max file grants ("max 100000": none).
std::optional<double> parse_cpu_max(std::string_view text);

}  // namespace sterna::runtime
