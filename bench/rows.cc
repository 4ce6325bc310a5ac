// Attention, and the operations on one row of activations.
#include <algorithm>
#include <cmath>
#include <span>
#include <string>
#include <vector>

#include "bench/measure.h"
#include "kernels/attention/reference.h"
#include "kernels/rotate/factors.h"

namespace sterna::bench {
namespace {

using namespace kernels;  // NOLINT(google-build-using-namespace): what is measured here

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
  bool right = true;
  for (std::size_t i = 0; i < head_dim; ++i) {
    // values are below 6; n additions of 2^-24 and as much again for the weights
    right = right && std::fabs(out[i] - exact[i]) <= 6 * 2 * static_cast<double>(n) * 0x1p-24;
  }
  const auto elements = 2.0 * static_cast<double>(n * head_dim);
  time_kernel(state, {queries * elements, elements * static_cast<double>(kv_bytes(type))}, right, run);
}

constexpr std::size_t kWidth = 6912;

// An operation of a table from x to y, both of kWidth floats. The result must be that of the scalar table,
// bit for bit; the tests hold that one against the references.
using RowOperation = void (*)(const Kernels& k, const float* x, float* y);

void bench_row(benchmark::State& state, const Kernels& k, RowOperation run) {
  const std::vector<float> x = normals(kWidth);
  std::vector<float> y = x;
  std::vector<float> expected = x;
  run(k, x.data(), y.data());
  run(*all_kernels().front(), x.data(), expected.data());
  const bool right = std::ranges::equal(std::as_bytes(std::span(y)), std::as_bytes(std::span(expected)));
  time_kernel(state, {0, 2.0 * kWidth * sizeof(float)}, right, [&] { run(k, x.data(), y.data()); });
}

void rotate_row(const Kernels& k, const float* x, std::size_t columns, std::size_t block, float* y) {
  static const std::vector<float> factors = [] {
    std::vector<float> f(kWidth);
    fill_rotation(1, 256, f);  // of a block of 512: twice as large, which takes no other time
    return f;
  }();
  k.rotate(x, factors.data(), columns, block, y);
}

constexpr struct {
  const char* name;
  RowOperation run;
} kRowOperations[] = {
    {"rms_norm", [](const Kernels& k, const float* x, float* y) { k.rms_norm(x, x, kWidth, 1e-5f, y); }},
    {"rms_norm_quantize",
     [](const Kernels& k, const float* x, float* y) {
       std::int32_t sums[64];
       float inverse_scale = 0;
       k.rms_norm_quantize(x, x, kWidth, 1e-5f, kWidth, reinterpret_cast<std::int8_t*>(y), sums,
                           &inverse_scale);
     }},
    {"silu", [](const Kernels& k, const float* x,
                float* y) { k.gated_activation(x, x, kWidth, GateFunction::silu, y); }},
    {"relu2", [](const Kernels& k, const float* x,
                 float* y) { k.gated_activation(x, x, kWidth, GateFunction::relu2, y); }},
    {"kv_store",
     [](const Kernels& k, const float* x, float* y) { k.kv_store(x, kWidth, KvType::f16, y, nullptr); }},
    {"rope",
     [](const Kernels& k, const float*, float* y) {
       static const std::vector<float> eighth_turn(64, std::sqrt(0.5f));  // cos = sin: lengths stay
       k.rope(y, kWidth / 128, 128, eighth_turn.data(), eighth_turn.data());
     }},
    {"rotate/256", [](const Kernels& k, const float* x, float* y) { rotate_row(k, x, kWidth, 256, y); }},
    {"rotate/512 of 2560",
     [](const Kernels& k, const float* x, float* y) { rotate_row(k, x, 2560, 512, y); }},
    {"quantize",
     [](const Kernels& k, const float* x, float* y) {
       std::int32_t sums[64];
       float inverse_scale = 0;
       k.quantize(x, kWidth, kWidth, reinterpret_cast<std::int8_t*>(y), sums, &inverse_scale);
     }},
};

}  // namespace

void register_rows(const Kernels& k) {
  for (const KvType type : {KvType::f32, KvType::f16, KvType::i8}) {
    const char* type_name = type == KvType::f32 ? "f32" : type == KvType::f16 ? "f16" : "int8";
    const std::string name = name_of({"attention", k.name, type_name, "keys:1024"});
    add_benchmark(name, [&k, type](benchmark::State& state) { bench_attention(state, k, type, 1024); });
  }
  for (const auto& operation : kRowOperations) {
    add_benchmark(name_of({operation.name, k.name}),
                  [&k, run = operation.run](benchmark::State& state) { bench_row(state, k, run); });
  }
}

}  // namespace sterna::bench
