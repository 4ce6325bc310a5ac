// Speed of every kernel that this machine runs, on shapes that models have, and its share of what probes
// reach in the same run. What gives a wrong result is reported as an error and not timed. One thread; GMAC/s
// count the weights of the matrix and not its padding.
//
//   kernels_bench --benchmark_filter=ternary --benchmark_min_time=0.5
#include <string>

#include "bench/measure.h"
#include "runtime/cpu_count.h"

namespace sterna::bench {
namespace {

void show_peak(benchmark::State& state, const Probe& probe) {
  if (!is_right(probe)) return state.SkipWithError("wrong result");
  while (state.KeepRunning()) benchmark::DoNotOptimize(probe.multiply(1000));
  state.counters["GMAC/s"] = peak_multiply_adds(probe.isa) * 1e-9;
  state.SetLabel(probe.instruction);
}

void show_bandwidth(benchmark::State& state, const Level& level) {
  if (!is_right(*probes().back())) return state.SkipWithError("wrong result");
  const double bandwidth = read_bandwidth(level);
  while (state.KeepRunning()) benchmark::DoNotOptimize(bandwidth);
  state.counters["GB/s"] = bandwidth * 1e-9;
  state.SetLabel(std::to_string(level.buffer_bytes >> 10) + " KiB");
}

const char* isa_name(kernels::Isa isa) {
  for (const kernels::Kernels* k : kernels::all_kernels()) {
    if (k->isa == isa) return k->name;
  }
  return "?";
}

// The limits themselves.
void register_limits() {
  for (const Probe* probe : probes()) {
    if (probe->multiply == nullptr) continue;
    add_benchmark(name_of({"peak", isa_name(probe->isa)}),
                  [probe](benchmark::State& state) { show_peak(state, *probe); });
  }
  for (const Level& level : levels()) {
    add_benchmark(name_of({"read", level.name}),
                  [&level](benchmark::State& state) { show_bandwidth(state, level); });
  }
}

}  // namespace
}  // namespace sterna::bench

int main(int argc, char** argv) {
  using sterna::kernels::Kernels;
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  std::string isas;
  sterna::bench::register_limits();
  for (const Kernels* k : sterna::kernels::all_kernels()) {
    if (!sterna::kernels::supported(k->isa)) continue;
    isas.append(isas.empty() ? "" : " ").append(k->name);
    sterna::bench::register_matrices(*k);
    sterna::bench::register_rows(*k);
  }
  benchmark::AddCustomContext("cpu", sterna::runtime::cpu_name());
  benchmark::AddCustomContext("threads", "1");
  benchmark::AddCustomContext("instruction sets", isas);
  benchmark::AddCustomContext("compiler", __VERSION__);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
