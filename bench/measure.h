// What all benchmarks of kernels share: how a loop is timed and which numbers it gets.
#pragma once

#include <benchmark/benchmark.h>

#include <cstddef>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "bench/limits.h"
#include "kernels/registry.h"

namespace sterna::bench {

// The same standard normal numbers each time.
std::vector<float> normals(std::size_t n);

std::string name_of(std::initializer_list<std::string_view> parts);  // joined by '/'

// What one run of a kernel does.
struct Work {
  double multiply_adds = 0;  // of the matrix's weights, whatever padding costs
  double bytes = 0;          // that it reads of the weights or keys, or reads and writes of a row
  const kernels::Kernels* peak =
      nullptr;  // compare with the multiply-adds that this table's instructions can do
};

// GMAC/s and GB/s, and their share of what probes of the same run reach: "% of peak" of the multiply-adds,
// "% of bandwidth" of the level of memory that holds `bytes`.
void report(benchmark::State& state, const Work& work, double seconds);

// Times `run` and reports; a kernel whose result is not `right` is an error and not timed.
template <class Run>
void time_kernel(benchmark::State& state, const Work& work, bool right, Run run) {
  if (!right) return state.SkipWithError("wrong result");
  const double start = thread_seconds();
  while (state.KeepRunning()) {
    run();
    benchmark::ClobberMemory();
  }
  report(state, work, thread_seconds() - start);
}

template <class Body>
void add_benchmark(const std::string& name, Body body) {
  benchmark::RegisterBenchmark(name.c_str(), body);
}

// The benchmarks of one table, by file.
void register_matrices(const kernels::Kernels& k);  // ternary and dense products
void register_rows(const kernels::Kernels& k);      // attention and what works on a row

}  // namespace sterna::bench
