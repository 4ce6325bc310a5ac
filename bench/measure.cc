#include "bench/measure.h"

#include <random>

namespace sterna::bench {

std::vector<float> normals(std::size_t n) {
  std::mt19937 engine(static_cast<unsigned>(n));
  std::normal_distribution<float> normal;
  std::vector<float> v(n);
  for (float& x : v) x = normal(engine);
  return v;
}

std::string name_of(std::initializer_list<std::string_view> parts) {
  std::string name;
  for (const std::string_view part : parts) name.append(name.empty() ? "" : "/").append(part);
  return name;
}

void report(benchmark::State& state, const Work& work, double seconds) {
  const double runs = static_cast<double>(state.iterations());
  const double multiply_adds = work.multiply_adds * runs / seconds;
  const double bytes = work.bytes * runs / seconds;
  if (work.multiply_adds > 0) state.counters["GMAC/s"] = multiply_adds * 1e-9;
  state.counters["GB/s"] = bytes * 1e-9;
  const double peak = work.peak == nullptr ? 0.0 : peak_multiply_adds(work.peak->isa);
  if (peak > 0) state.counters["% of peak"] = 100 * multiply_adds / peak;
  const Level& level = level_of(static_cast<std::size_t>(work.bytes));
  state.counters["% of bandwidth"] = 100 * bytes / read_bandwidth(level);
  state.SetLabel(level.name);
}

}  // namespace sterna::bench
