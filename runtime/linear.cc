#include "runtime/linear.h"

#include <algorithm>
#include <cassert>
#include <mutex>

#include "runtime/blas.h"

namespace sterna::runtime {
namespace {

// From this many tokens on OpenBLAS's blocking pays for the copy of non-float weights.
constexpr std::size_t kBlasTokens = 16;

// y[token * y_stride + row] for the rows [begin, end) of w. Float copies for BLAS are made of kBlasRows rows
// counted from `begin`, also where no copy is needed: BLAS's order of additions may depend on a product's
// shape, and pieces of a matrix must give the bits of the whole.
void dense_rows(const kernels::Kernels& kernels, Activations& scratch, const kernels::DenseView& w,
                const float* x, std::size_t tokens, std::size_t begin, std::size_t end, float* y,
                std::size_t y_stride, std::size_t worker) {
  if (tokens < kBlasTokens) {
    kernels.dense_matmul(w, x, tokens, w.columns, begin, end, y, y_stride);
    return;
  }
  float* copy = scratch.worker_copy(worker);
  for (std::size_t row = begin; row < end; row += Activations::kBlasRows) {
    const std::size_t rows = std::min(Activations::kBlasRows, end - row);
    const auto* floats = reinterpret_cast<const float*>(w.row(row));
    if (w.type != kernels::DenseType::f32) {
      for (std::size_t i = 0; i < rows; ++i) kernels.dense_row(w, row + i, copy + i * w.columns);
      floats = copy;
    }
    blas::multiply(tokens, rows, w.columns, 1.0F, {x, w.columns}, {floats, w.columns, blas::Form::transposed},
                   0.0F, y + row, y_stride);
  }
}

kernels::QuantizedView quantized_view(const Activations& scratch, std::size_t tokens, std::size_t columns) {
  kernels::QuantizedView view;
  view.tokens = tokens;
  view.columns = columns;
  view.stride = kernels::padded_columns(columns);
  view.sum_stride = kernels::round_up(columns, kernels::kGroupColumns) / kernels::kGroupColumns;
  view.q = scratch.quantized.data();
  view.sums = scratch.sums.data();
  view.inverse_scale = scratch.inverse_scale.data();
  return view;
}

// The rows of `input` as floats, those of a norm in `normed` and only if that is there, and as int8 for
// `ternary`, a linear whose rotation only they get; none: nullptr.
PreparedInput prepare_rows(const kernels::Kernels& kernels, ThreadPool& pool, Activations& scratch,
                           const LinearInput& input, std::size_t tokens, std::size_t columns,
                           const Linear* ternary, float* normed) {
  PreparedInput prepared;
  prepared.tokens = tokens;
  prepared.floats = input.norm == nullptr ? input.x : normed;
  const kernels::QuantizedView view = prepared.quantized = quantized_view(scratch, tokens, columns);
  const auto prepare = [&](std::size_t t, float* rotated) {
    float* x = input.x + t * columns;
    std::int8_t* q = scratch.quantized.data() + t * view.stride;
    std::int32_t* sums = scratch.sums.data() + t * view.sum_stride;
    float* inverse_scale = scratch.inverse_scale.data() + t;
    if (input.residual != nullptr) kernels.add(input.residual + t * columns, columns, x);
    if (input.up != nullptr) kernels.gated_activation(x, input.up + t * columns, columns, input.gate, x);
    float* floats = normed == nullptr ? rotated : normed + t * columns;
    if (input.norm != nullptr && floats != nullptr) {
      kernels.rms_norm(x, input.norm, columns, input.eps, floats);
      x = floats;
    }
    if (ternary == nullptr) return;
    if (rotated != nullptr) {
      kernels.rotate(x, ternary->rotation, columns, ternary->rotation_block, rotated);
      x = rotated;
    }
    if (input.norm != nullptr && floats == nullptr) {
      kernels.rms_norm_quantize(x, input.norm, columns, input.eps, view.stride, q, sums, inverse_scale);
    } else {
      kernels.quantize(x, columns, view.stride, q, sums, inverse_scale);
    }
  };
  const bool rotates = ternary != nullptr && ternary->rotation != nullptr;
  pool.run(tokens, 1, [&](std::size_t begin, std::size_t end, std::size_t worker) {
    float* rotated = rotates ? scratch.rotated.data() + worker * scratch.widest : nullptr;
    for (std::size_t t = begin; t < end; ++t) prepare(t, rotated);
  });
  return prepared;
}

// Rows [begin, end) of one projection; begin is a multiple of 16.
void run_rows(const kernels::Kernels& kernels, Activations& scratch, const Projection& p,
              const PreparedInput& input, std::size_t begin, std::size_t end, std::size_t worker) {
  const Matrix& w = p.linear->weight;
  const std::size_t rows = w.rows();
  if (w.ternary) {
    kernels.ternary_matmul(w.trits, input.quantized, begin / kernels::kTileRows,
                           kernels::round_up(end, kernels::kTileRows) / kernels::kTileRows, p.y, rows);
  } else {
    dense_rows(kernels, scratch, w.dense, input.floats, input.tokens, begin, end, p.y, rows, worker);
  }
  if (p.linear->bias == nullptr) return;
  for (std::size_t t = 0; t < input.tokens; ++t)
    kernels.add(p.linear->bias + begin, end - begin, p.y + t * rows + begin);
}

void project_shared(const kernels::Kernels& kernels, ThreadPool& pool, Activations& scratch,
                    const PreparedInput& input, std::span<const Projection> projections) {
  std::size_t blocks = 0;
  for (const Projection& p : projections) {
    blocks += kernels::round_up(p.linear->weight.rows(), kernels::kTileRows) / kernels::kTileRows;
  }
  // One dispatch for all: the blocks of 16 rows of the projections, one after the other.
  pool.run(blocks, 1, [&](std::size_t begin, std::size_t end, std::size_t worker) {
    std::size_t first = 0;
    for (const Projection& p : projections) {
      const std::size_t rows = p.linear->weight.rows();
      const std::size_t count = kernels::round_up(rows, kernels::kTileRows) / kernels::kTileRows;
      const std::size_t from = std::max(begin, first);
      const std::size_t to = std::min(end, first + count);
      if (from < to) {
        run_rows(kernels, scratch, p, input, (from - first) * kernels::kTileRows,
                 std::min(rows, (to - first) * kernels::kTileRows), worker);
      }
      first += count;
    }
  });
}

}  // namespace

PreparedInput prepare_input(const kernels::Kernels& kernels, ThreadPool& pool, Activations& scratch,
                            const LinearInput& input, std::size_t tokens,
                            std::span<const Projection> projections) {
  const auto is_ternary = [](const Projection& p) { return p.linear->weight.ternary; };
  const auto ternary = std::ranges::find_if(projections, is_ternary);
  const Linear& first = *projections[0].linear;
  const bool own_norms = first.norm != nullptr;
  const Linear* int8_for = own_norms || ternary == projections.end() ? nullptr : ternary->linear;
  assert(int8_for == nullptr || std::ranges::all_of(projections, [&](const Projection& p) {
           return !is_ternary(p) || p.linear->rotation == int8_for->rotation;
         }));
  const bool floats = own_norms || !std::ranges::all_of(projections, is_ternary);
  return prepare_rows(kernels, pool, scratch, input, tokens, first.weight.columns(), int8_for,
                      floats ? scratch.normed.data() : nullptr);
}

void project(const kernels::Kernels& kernels, ThreadPool& pool, Activations& scratch,
             const PreparedInput& input, float eps, std::span<const Projection> projections) {
  if (projections[0].linear->norm == nullptr) {
    project_shared(kernels, pool, scratch, input, projections);
    return;
  }
  for (const Projection& p : projections) {
    const Matrix& w = p.linear->weight;
    const LinearInput own{.x = input.floats, .norm = p.linear->norm, .eps = eps};
    const PreparedInput prepared =
        prepare_rows(kernels, pool, scratch, own, input.tokens, w.columns(), w.ternary ? p.linear : nullptr,
                     w.ternary ? nullptr : scratch.linear_in.data());
    project_shared(kernels, pool, scratch, prepared, {&p, 1});
  }
}

Status project_dense(const kernels::Kernels& kernels, ThreadPool& pool, Activations& scratch,
                     const DenseRows& w, const float* x, std::size_t tokens, float* y) {
  std::mutex mutex;
  Status first;
  pool.run(w.count(), kernels::kTileRows, [&](std::size_t begin, std::size_t end, std::size_t worker) {
    // From the file in pieces that the second-level cache holds, and that BLAS takes at once; split rows in
    // pieces that the first level holds.
    const bool in_place = w.in_memory() && !w.is_split();
    const std::size_t few = w.in_memory() && tokens < kBlasTokens ? 4 : Activations::kBlasRows;
    const std::size_t step = in_place ? end - begin : few;
    for (std::size_t row = begin; row < end; row += step) {
      const auto piece = w.rows(kernels, row, std::min(end, row + step), scratch.worker_rows(worker));
      if (!piece) {
        const std::lock_guard lock(mutex);
        first = piece.error();
        return;
      }
      dense_rows(kernels, scratch, *piece, x, tokens, 0, piece->rows, y + row, w.count(), worker);
    }
  });
  return first;
}

}  // namespace sterna::runtime
