// Products of matrices, on the shapes of BitNet-b1.58-2B-4T.
#include <cmath>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "bench/measure.h"
#include "kernels/dense_matmul/reference.h"
#include "kernels/ternary_matmul/reference.h"

namespace sterna::bench {
namespace {

using namespace kernels;  // NOLINT(google-build-using-namespace): what is measured here

struct TernaryShape {
  std::size_t rows, columns, tokens, group;
  PackedForm form;
};

std::string form_name(const PackedForm& f) {
  switch (f.form) {
    case CodeForm::base3:
      return "base3";
    case CodeForm::pairs:
      return "pairs";
    case CodeForm::triples:
      return "triples";
    default:
      return "planes:" + std::to_string(f.planes);
  }
}

// Aligned as in a model file.
struct alignas(64) Line {
  std::uint8_t bytes[64];
};

struct TernaryCase {
  explicit TernaryCase(const Kernels& k, const TernaryShape& s)
      : codes(packed_bytes(s.rows, s.columns, s.form.planes, s.form.form) / sizeof(Line)),
        stride(padded_columns(s.columns)) {
    std::mt19937 engine(1);
    std::vector<std::int8_t> values(s.rows * s.columns);
    const int largest = max_weight(s.form.planes);
    for (auto& value : values) {
      value = static_cast<std::int8_t>(static_cast<int>(engine() % static_cast<unsigned>(2 * largest + 1)) -
                                       largest);
    }
    pack_rows(values.data(), s.rows, s.columns, s.form.planes, codes.front().bytes, s.form.form);
    w = {s.rows,         s.columns,           s.form.planes, s.group,
         ScaleType::f32, codes.front().bytes, nullptr,       s.form.form};
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
  const Work work{static_cast<double>(s.rows * s.columns * s.tokens), static_cast<double>(c.w.code_bytes()),
                  &k};
  time_kernel(state, work, c.right(), run);
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
  bool right = true;
  for (std::size_t r = 0; r < rows; r += 101) {
    const ReferenceSum exact = reference_dense(w, x.data(), r);
    // 2560 / 16 additions in a lane and a few more roundings, 2^-24 each
    right = right && std::fabs(y[r] - exact.value) <= 168 * 0x1p-24 * exact.magnitude + 0x1p-140;
  }
  time_kernel(state, {static_cast<double>(rows * columns * tokens), static_cast<double>(data.size())}, right,
              run);
}

// The high bits of an int8 head; a wrong result is one that the scalar kernel does not have.
void bench_screen(benchmark::State& state, const Kernels& k) {
  SplitView w;
  w.rows = 4096;
  w.columns = 2560;
  const std::vector<float> x = normals(w.columns);
  const std::vector<float> scales = normals(w.rows);
  const std::vector<float> bounds(w.rows * kSplitBounds, 116.0F);
  std::vector<std::uint8_t> codes(w.code_bytes());
  for (std::size_t i = 0; i < codes.size(); ++i) codes[i] = static_cast<std::uint8_t>(i * 7);
  w.row_scales = scales.data();
  w.codes = codes.data();
  w.bounds = bounds.data();
  std::vector<std::int8_t> q(screen_input_bytes(w.columns));
  ScreenInput input;
  bool right = prepare_screen_input(x.data(), x.size(), q.data(), input);
  std::vector<float> center(w.rows), upper(w.rows), scalar(101), above(101);
  const auto run = [&] { k.screen(w, w.codes, input, 0, w.rows, center.data(), upper.data()); };
  run();
  screen<Isa::scalar>(w, w.codes, input, 0, scalar.size(), scalar.data(), above.data());
  right = right && std::equal(scalar.begin(), scalar.end(), center.begin()) &&
          std::equal(above.begin(), above.end(), upper.begin());
  time_kernel(state,
              {static_cast<double>(w.rows * w.columns), static_cast<double>(w.rows * w.high_row_bytes())},
              right, run);
}

}  // namespace

void register_matrices(const Kernels& k) {
  for (const auto& [rows, columns] :
       {std::pair<std::size_t, std::size_t>{1024, 2560}, {2560, 2560}, {6912, 2560}, {2560, 6912}}) {
    for (const std::size_t group : {std::size_t{0}, kGroupColumns}) {
      for (const PackedForm& form : kPackedForms) {
        if (group != 0 && !form.takes_groups()) continue;
        for (const std::size_t tokens : {1, 32, 128}) {
          const TernaryShape s{rows, columns, tokens, group, form};
          const std::string size = std::to_string(rows) + "x" + std::to_string(columns);
          const std::string name =
              name_of({"ternary_matmul", k.name, size, group == 0 ? "one_scale" : "grouped", form_name(form),
                       "tokens:" + std::to_string(tokens)});
          add_benchmark(name, [&k, s](benchmark::State& state) { bench_ternary(state, k, s); });
        }
      }
    }
  }
  add_benchmark(name_of({"screen", k.name}), [&k](benchmark::State& state) { bench_screen(state, k); });
  const char* const type_names[] = {"f32", "f16", "bf16", "i8"};
  for (const DenseType type : {DenseType::f32, DenseType::f16, DenseType::bf16, DenseType::i8}) {
    for (const std::size_t tokens : {1, 4}) {
      const std::string name = name_of(
          {"dense_matmul", k.name, type_names[static_cast<int>(type)], "tokens:" + std::to_string(tokens)});
      add_benchmark(name,
                    [&k, type, tokens](benchmark::State& state) { bench_dense(state, k, type, tokens); });
    }
  }
}

}  // namespace sterna::bench
