// Speed of every kernel that this machine runs, on shapes that models have. A kernel whose result is wrong is
// reported as an error and not timed. One thread; GMAC/s count the weights of the matrix and not its padding.
//
//   kernels_bench --benchmark_filter=ternary --benchmark_min_time=0.5
#include <benchmark/benchmark.h>

#include <cmath>
#include <initializer_list>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/attention/reference.h"
#include "kernels/dense_matmul/reference.h"
#include "kernels/registry.h"
#include "kernels/ternary_matmul/reference.h"

namespace sterna::kernels {
namespace {

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

template <class Body>
void add_benchmark(const std::string& name, Body body) {
  benchmark::RegisterBenchmark(name.c_str(), body);
}

void report(benchmark::State& state, double multiply_adds, double bytes) {
  using benchmark::Counter;
  state.counters["GMAC/s"] = Counter(multiply_adds * 1e-9, Counter::kIsIterationInvariantRate);
  state.counters["GB/s"] = Counter(bytes * 1e-9, Counter::kIsIterationInvariantRate);
}

struct TernaryShape {
  std::size_t rows, columns, tokens, planes, group;
};

// Aligned as in a model file.
struct alignas(64) Line {
  std::uint8_t bytes[64];
};

struct TernaryCase {
  explicit TernaryCase(const Kernels& k, const TernaryShape& s)
      : codes(packed_bytes(s.rows, s.columns, s.planes) / sizeof(Line)),
        stride(round_up(s.columns, kTileColumns)) {
    std::mt19937 engine(1);
    for (Line& line : codes) {
      for (auto& byte : line.bytes) {  // four codes of 0 .. 2
        byte = 0;
        for (unsigned shift = 0; shift < 8; shift += 2)
          byte |= static_cast<std::uint8_t>(engine() % 3 << shift);
      }
    }
    w = {s.rows, s.columns, s.planes, s.group, ScaleType::f32, codes.front().bytes, nullptr};
    scales = normals(w.scale_count());
    w.scales = scales.data();
    const std::size_t groups = round_up(s.columns, kGroupColumns) / kGroupColumns;
    q.resize(s.tokens * stride);
    sums.resize(s.tokens * groups);
    inverse_scale.resize(s.tokens);
    const std::vector<float> row = normals(s.columns);
    for (std::size_t t = 0; t < s.tokens; ++t) {
      k.quantize(row.data(), s.columns, stride, &q[t * stride], &sums[t * groups], &inverse_scale[t]);
    }
    x = {s.tokens, s.columns, stride, groups, q.data(), sums.data(), inverse_scale.data()};
    y.resize(s.tokens * s.rows);
  }

  [[nodiscard]] bool right() const {
    for (std::size_t row = 0; row < w.rows; row += 13) {
      const std::size_t token = row % x.tokens;
      if (y[token * w.rows + row] != reference_ternary_matmul(w, x, token, row)) return false;
    }
    return true;
  }

  std::vector<Line> codes;
  std::size_t stride;
  TernaryView w;
  QuantizedView x;
  std::vector<float> scales, inverse_scale, y;
  std::vector<std::int8_t> q;
  std::vector<std::int32_t> sums;
};

void bench_ternary(benchmark::State& state, const Kernels& k, const TernaryShape& s) {
  TernaryCase c(k, s);
  const auto run = [&] { k.ternary_matmul(c.w, c.x, 0, c.w.row_blocks(), c.y.data(), s.rows); };
  run();
  if (!c.right()) return state.SkipWithError("wrong result");
  while (state.KeepRunning()) {
    run();
    benchmark::ClobberMemory();
  }
  const auto weights = static_cast<double>(s.rows * s.columns);
  report(state, weights * static_cast<double>(s.tokens), static_cast<double>(c.w.code_bytes()));
}

void bench_dense(benchmark::State& state, const Kernels& k, DenseType type, std::size_t tokens) {
  const std::size_t rows = 4096;
  const std::size_t columns = 2560;
  const std::vector<float> x = normals(tokens * columns);
  const std::vector<float> row_scales = normals(rows);
  std::vector<float> y(tokens * rows);
  std::vector<std::uint8_t> data(rows * columns * dense_bytes(type));
  for (std::size_t i = 0; i < data.size(); ++i) {
    // Upper bytes 0x3C .. 0x3F: numbers below 2 in each of the float types, none of them subnormal.
    data[i] = static_cast<std::uint8_t>(0x3C + i * 7 % 4);
  }
  const DenseView w{rows, columns, type, data.data(), row_scales.data()};
  const auto run = [&] { k.dense_matmul(w, x.data(), tokens, columns, 0, rows, y.data(), rows); };
  run();
  for (std::size_t r = 0; r < rows; r += 101) {
    const ReferenceSum exact = reference_dense(w, x.data(), r);
    // 2560 / 16 additions in a lane and a few more roundings, 2^-24 each
    if (!(std::fabs(y[r] - exact.value) <= 168 * 0x1p-24 * exact.magnitude + 0x1p-140)) {
      return state.SkipWithError("wrong result");
    }
  }
  while (state.KeepRunning()) {
    run();
    benchmark::ClobberMemory();
  }
  report(state, static_cast<double>(rows * columns * tokens), static_cast<double>(data.size()));
}

void bench_attention(benchmark::State& state, const Kernels& k, KvType type, std::size_t n) {
  const std::size_t head_dim = 128;
  const std::size_t queries = 4;
  const std::vector<float> source = normals(n * head_dim);
  const std::vector<float> q = normals(queries * head_dim);
  std::vector<std::uint8_t> cache(source.size() * kv_bytes(type));
  std::vector<float> scales(n);
  for (std::size_t j = 0; j < n; ++j) {
    k.kv_store(&source[j * head_dim], head_dim, type, &cache[j * head_dim * kv_bytes(type)], &scales[j]);
  }
  AttentionArgs args;
  args.q = q.data();
  args.keys = args.values = cache.data();
  args.key_scales = args.value_scales = scales.data();
  args.type = type;
  args.key_stride = args.value_stride = args.head_dim = head_dim;
  args.n = n;
  args.scale = 1.0f / std::sqrt(static_cast<float>(head_dim));
  args.queries = queries;
  const std::size_t row = attention_chunks(n) * partial_floats(head_dim);
  std::vector<float> partial(queries * row), out(queries * head_dim);
  const auto run = [&] {
    k.attention(args, 0, attention_chunks(n), partial.data());
    for (std::size_t i = 0; i < queries; ++i) {
      k.attention_merge(&partial[i * row], attention_chunks(n), head_dim, &out[i * head_dim]);
    }
  };
  run();
  const std::vector<double> exact = reference_attention(args);
  for (std::size_t i = 0; i < head_dim; ++i) {
    // values are below 6; n additions of 2^-24 and as much again for the weights
    if (!(std::fabs(out[i] - exact[i]) <= 6 * 2 * static_cast<double>(n) * 0x1p-24)) {
      return state.SkipWithError("wrong result");
    }
  }
  while (state.KeepRunning()) {
    run();
    benchmark::ClobberMemory();
  }
  report(state, 2.0 * static_cast<double>(queries * n * head_dim),
         2.0 * static_cast<double>(n * head_dim * kv_bytes(type)));
}

// The operations on one row: time each, on the width of a model.
void register_rows(const Kernels& k) {
  const auto add_bench = [&k](std::string_view op, auto run) {
    add_benchmark(name_of({op, k.name}), [run](benchmark::State& state) {
      const std::size_t n = 6912;
      const std::vector<float> x = normals(n);
      std::vector<float> y = normals(n);
      while (state.KeepRunning()) {
        run(x.data(), n, y.data());
        benchmark::ClobberMemory();
      }
      report(state, static_cast<double>(n), static_cast<double>(2 * n * sizeof(float)));
    });
  };
  add_bench("rms_norm", [&k](const float* x, std::size_t n, float* y) { k.rms_norm(x, x, n, 1e-5f, y); });
  add_bench("silu", [&k](const float* x, std::size_t n, float* y) {
    k.gated_activation(x, x, n, GateFunction::silu, y);
  });
  add_bench("relu2", [&k](const float* x, std::size_t n, float* y) {
    k.gated_activation(x, x, n, GateFunction::relu2, y);
  });
  add_bench("kv_store",
            [&k](const float* x, std::size_t n, float* y) { k.kv_store(x, n, KvType::f16, y, nullptr); });
  add_bench("rope", [&k](const float*, std::size_t n, float* y) {
    static const std::vector<float> eighth_turn(64, std::sqrt(0.5f));  // cos = sin: lengths stay as they are
    k.rope(y, n / 128, 128, eighth_turn.data(), eighth_turn.data());
  });
  add_bench("quantize", [&k](const float* x, std::size_t n, float* y) {
    std::int32_t sums[64];
    float inverse_scale = 0;
    k.quantize(x, n, n, reinterpret_cast<std::int8_t*>(y), sums, &inverse_scale);
  });
}

void register_matrices(const Kernels& k) {
  for (const auto& [rows, columns] :
       {std::pair<std::size_t, std::size_t>{2560, 2560}, {6912, 2560}, {2560, 6912}}) {
    for (const std::size_t group : {std::size_t{0}, kGroupColumns}) {
      for (const std::size_t planes : {1, 2, 3}) {
        for (const std::size_t tokens : {1, 32, 128}) {
          const TernaryShape s{rows, columns, tokens, planes, group};
          const std::string size = std::to_string(rows) + "x" + std::to_string(columns);
          const std::string name =
              name_of({"ternary_matmul", k.name, size, group == 0 ? "one_scale" : "grouped",
                       "planes:" + std::to_string(planes), "tokens:" + std::to_string(tokens)});
          add_benchmark(name, [&k, s](benchmark::State& state) { bench_ternary(state, k, s); });
        }
      }
    }
  }
  const char* const type_names[] = {"f32", "f16", "bf16", "i8"};
  for (const DenseType type : {DenseType::f32, DenseType::f16, DenseType::bf16, DenseType::i8}) {
    for (const std::size_t tokens : {1, 4}) {
      const std::string name = name_of(
          {"dense_matmul", k.name, type_names[static_cast<int>(type)], "tokens:" + std::to_string(tokens)});
      add_benchmark(name,
                    [&k, type, tokens](benchmark::State& state) { bench_dense(state, k, type, tokens); });
    }
  }
  for (const KvType type : {KvType::f32, KvType::f16, KvType::i8}) {
    const char* type_name = type == KvType::f32 ? "f32" : type == KvType::f16 ? "f16" : "int8";
    const std::string name = name_of({"attention", k.name, type_name, "keys:1024"});
    add_benchmark(name, [&k, type](benchmark::State& state) { bench_attention(state, k, type, 1024); });
  }
}

}  // namespace
}  // namespace sterna::kernels

int main(int argc, char** argv) {
  using sterna::kernels::Kernels;
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  std::string isas;
  for (const Kernels* k : sterna::kernels::all_kernels()) {
    if (!sterna::kernels::supported(k->isa)) continue;
    isas.append(isas.empty() ? "" : " ").append(k->name);
    sterna::kernels::register_matrices(*k);
    sterna::kernels::register_rows(*k);
  }
  benchmark::AddCustomContext("compiler", __VERSION__);
  benchmark::AddCustomContext("kernels", isas);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
