#include "runtime/top_rows.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <limits>
#include <mutex>
#include <span>

#include "runtime/linear.h"

namespace sterna::runtime {
namespace {

constexpr float kLowest = -std::numeric_limits<float>::infinity();

// Rows that a thread takes through the levels together.
constexpr std::size_t kBatch = 16;
static_assert(kBatch <= Activations::kBlasRows);

// A token whose screening reads more than the whole matrix says that the next ones will, too: so many of them
// go without.
constexpr std::size_t kPause = 15;

// The first error of several threads.
class FirstError {
 public:
  void take(const Status& status) {
    if (status) return;
    const std::lock_guard lock(mutex_);
    if (first_) first_ = status;
  }
  [[nodiscard]] const Status& status() const { return first_; }

 private:
  std::mutex mutex_;
  Status first_;
};

class TopRows {
 public:
  TopRows(const kernels::Kernels& kernels, ThreadPool& pool, Activations& scratch, const DenseRows& w,
          const float* x, const kernels::ScreenInput& input, float* y)
      : kernels_(kernels), pool_(pool), scratch_(scratch), w_(w), x_(x), input_(input), y_(y) {}

  Status run(std::size_t top) {
    STERNA_CHECK(screen());
    STERNA_TRY(const float least, least_of_top(choose(top)));
    STERNA_CHECK(settle(least));
    scratch_.head_reads = {true, planes_.load(), rows_.load() + top};
    return {};
  }

 private:
  using Rows = std::span<std::uint32_t>;

  template <class Body>
  Status on_all_threads(std::size_t n, std::size_t grain, Body body) {
    FirstError error;
    pool_.run(n, grain, [&](std::size_t begin, std::size_t end, std::size_t worker) {
      error.take(body(begin, end, worker));
    });
    return error.status();
  }

  // y = centers, scratch.upper = what the logits are certainly not above.
  Status screen() {
    return on_all_threads(w_.count(), kernels::kTileRows,
                          [this](std::size_t begin, std::size_t end, std::size_t worker) -> Status {
                            const std::size_t step = w_.in_memory() ? end - begin : Activations::kBlasRows;
                            for (std::size_t row = begin; row < end; row += step) {
                              const std::size_t last = std::min(end, row + step);
                              STERNA_TRY(const std::uint8_t* high,
                                         w_.high(row, last, scratch_.worker_rows(worker)));
                              kernels_.screen(w_.split(), high, input_, row, last, y_, scratch_.upper.data());
                            }
                            return {};
                          });
  }

  // The rows with the `top` largest centers; fewer where these are not numbers.
  Rows choose(std::size_t top) {
    const auto larger = [this](std::uint32_t a, std::uint32_t b) { return y_[a] > y_[b]; };
    std::uint32_t* const first = scratch_.chosen.data();
    std::uint32_t* last = first;
    float least = kLowest;  // of the chosen ones, once there are `top`
    for (std::uint32_t row = 0; row < w_.count(); ++row) {
      if (!(y_[row] > least)) continue;
      if (last == first + top) std::pop_heap(first, last--, larger);
      *last++ = row;
      std::push_heap(first, last, larger);
      if (last == first + top) least = y_[*first];
    }
    wanted_ = top;
    return {first, last};
  }

  // No more than the smallest of the `top` largest logits; where one is not finite, nothing is ruled out.
  Result<float> least_of_top(Rows rows) {
    float* logits = scratch_.chosen_logits.data();
    STERNA_CHECK(on_all_threads(rows.size(), 1, [&](std::size_t begin, std::size_t end, std::size_t worker) {
      return compute(rows.subspan(begin, end - begin), worker, logits + begin);
    }));
    const std::span<const float> of_rows(logits, rows.size());
    const auto finite = [](float logit) { return std::isfinite(logit); };
    if (rows.size() < wanted_ || !std::all_of(of_rows.begin(), of_rows.end(), finite)) return kLowest;
    return *std::min_element(of_rows.begin(), of_rows.end());
  }

  // Rows that can reach `least` get their logits, the others -infinity.
  Status settle(float least) {
    return on_all_threads(w_.count(), kernels::kTileRows,
                          [&](std::size_t begin, std::size_t end, std::size_t worker) -> Status {
                            std::array<std::uint32_t, kBatch> batch{};
                            std::size_t n = 0;
                            for (std::size_t row = begin; row < end; ++row) {
                              if (scratch_.upper.data()[row] < least) {
                                y_[row] = kLowest;
                                continue;
                              }
                              batch[n++] = static_cast<std::uint32_t>(row);
                              if (n < kBatch) continue;
                              STERNA_CHECK(settle_rows(batch, worker, least));
                              n = 0;
                            }
                            return settle_rows(Rows(batch).first(n), worker, least);
                          });
  }

  Status settle_rows(Rows rows, std::size_t worker, float least) {
    for (std::size_t level = 1; level < kernels::kScreenLevels && !rows.empty(); ++level) {
      planes_ += rows.size();
      STERNA_TRY(rows, refined(rows, level, worker, least));
    }
    if (rows.empty()) return {};
    rows_ += rows.size();
    std::array<float, kBatch> logits{};
    STERNA_CHECK(compute(rows, worker, logits.data()));
    for (std::size_t i = 0; i < rows.size(); ++i) y_[rows[i]] = logits[i];
    return {};
  }

  // Those of the rows that can still reach `least` with one more bit known.
  Result<Rows> refined(Rows rows, std::size_t level, std::size_t worker, float least) {
    const kernels::SplitView& w = w_.split();
    std::size_t left = 0;
    for (const std::uint32_t row : rows) {
      STERNA_TRY(const std::uint8_t* plane, w_.plane(level - 1, row, row + 1, scratch_.worker_rows(worker)));
      const float bound = level == 1 ? w.bounds[w.rows + row] : 0.0F;
      float& upper = scratch_.upper.data()[row];
      kernels_.screen_plane(plane, w.columns, input_, level, {w.row_scales[row], bound}, y_ + row, &upper);
      if (upper < least) {
        y_[row] = kLowest;
      } else {
        rows[left++] = row;
      }
    }
    return rows.first(left);
  }

  // out[i] = the logit of rows[i].
  Status compute(Rows rows, std::size_t worker, float* out) {
    const std::size_t columns = w_.columns();
    const auto buffer = scratch_.worker_rows(worker);
    auto* values = reinterpret_cast<std::int8_t*>(buffer.data());
    for (std::size_t first = 0; first < rows.size(); first += kBatch) {
      const Rows batch = rows.subspan(first, std::min(kBatch, rows.size() - first));
      std::array<float, kBatch> scales{};
      for (std::size_t i = 0; i < batch.size(); ++i) {
        const std::uint32_t row = batch[i];
        STERNA_CHECK(
            w_.values(kernels_, row, row + 1, buffer.subspan(kBatch * columns), values + i * columns));
        scales[i] = w_.split().row_scales[row];
      }
      const kernels::DenseView view{batch.size(), columns, kernels::DenseType::i8, values, scales.data()};
      kernels_.dense_matmul(view, x_, 1, columns, 0, batch.size(), out + first, batch.size());
    }
    return {};
  }

  const kernels::Kernels& kernels_;
  ThreadPool& pool_;
  Activations& scratch_;
  const DenseRows& w_;
  const float* x_;
  const kernels::ScreenInput& input_;
  float* y_;
  std::size_t wanted_ = 0;
  std::atomic<std::size_t> planes_{0};
  std::atomic<std::size_t> rows_{0};
};

Status project_all(const kernels::Kernels& kernels, ThreadPool& pool, Activations& scratch,
                   const DenseRows& w, const float* x, float* y) {
  scratch.head_reads = {false, 0, w.count()};
  return project_dense(kernels, pool, scratch, w, x, 1, y);
}

}  // namespace

bool can_screen(const DenseRows& w, std::size_t top) {
  return w.is_split() && top > 0 && top <= w.count() / Activations::kTopShare;
}

Status project_top(const kernels::Kernels& kernels, ThreadPool& pool, Activations& scratch,
                   const DenseRows& w, const float* x, std::size_t top, float* y) {
  assert(can_screen(w, top));
  if (scratch.screen_pause > 0) {
    --scratch.screen_pause;
    return project_all(kernels, pool, scratch, w, x, y);
  }
  kernels::ScreenInput input;
  if (!kernels::prepare_screen_input(x, w.columns(), scratch.head_input.data(), input))
    return project_all(kernels, pool, scratch, w, x, y);
  STERNA_CHECK(TopRows(kernels, pool, scratch, w, x, input, y).run(top));
  if (bytes_read(w, scratch.head_reads) > w.count() * w.row_bytes()) scratch.screen_pause = kPause;
  return {};
}

std::uint64_t bytes_read(const DenseRows& w, const HeadReads& reads) {
  const std::uint64_t whole = reads.rows * w.row_bytes();
  if (!reads.screened) return whole;
  const kernels::SplitView& split = w.split();
  const std::uint64_t screened = w.count() * (split.high_row_bytes() + 2 * sizeof(float));
  return screened + reads.planes * (split.plane_row_bytes() + 2 * sizeof(float)) + whole;
}

}  // namespace sterna::runtime
