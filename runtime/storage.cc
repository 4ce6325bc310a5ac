#include "runtime/storage.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "kernels/ternary_matmul/pack.h"
#include "runtime/tensor_list.h"

namespace sterna::runtime {

using kernels::CodeForm;
using kernels::TernaryView;

CodeForm form_of(Storage storage, std::size_t planes, std::size_t group) {
  if (planes == 2) return CodeForm::pairs;
  if (planes == 3) return CodeForm::triples;
  return storage == Storage::small && group == 0 ? CodeForm::base3 : CodeForm::trit2;
}

Result<AlignedBuffer<std::uint8_t>> repack(const TernaryView& w, CodeForm form, ThreadPool& pool) {
  TernaryView to = w;
  to.form = form;
  STERNA_TRY(auto codes, AlignedBuffer<std::uint8_t>::create(to.code_bytes(), "repacked weights"));
  const std::size_t block_weights = kernels::kTileRows * w.columns;
  std::vector<std::int8_t> weights(pool.size() * block_weights);
  pool.run(w.row_blocks(), 1, [&](std::size_t begin, std::size_t end, std::size_t worker) {
    std::int8_t* values = weights.data() + worker * block_weights;
    for (std::size_t block = begin; block < end; ++block) {
      const std::size_t rows = std::min(kernels::kTileRows, w.rows - block * kernels::kTileRows);
      kernels::unpack_block(w, block, values);
      kernels::pack_rows(values, rows, w.columns, w.planes, codes.data() + block * to.block_bytes(), form);
    }
  });
  return codes;
}

namespace {

// Calls body(spec, view, the form that it should have) for the ternary matrices that have another one.
template <class Body>
Status for_others(const Weights& weights, const ModelConfig& config, Storage storage, Body body) {
  for (const TensorSpec& spec : tensor_list(config)) {
    if (!spec.is_linear() || spec.is_vector()) continue;
    const Matrix matrix = matrix_of(weights, spec);
    if (!matrix.ternary) continue;
    const CodeForm form = form_of(storage, matrix.trits.planes, matrix.trits.group);
    if (form != matrix.trits.form) STERNA_CHECK(body(spec, matrix.trits, form));
  }
  return {};
}

}  // namespace

Status repack(Model::Parts& parts, Storage storage, ThreadPool& pool) {
  std::vector<std::pair<TensorSpec, Matrix>> changed;
  STERNA_CHECK(for_others(parts.weights, parts.config, storage,
                          [&](const TensorSpec& spec, TernaryView w, CodeForm form) -> Status {
                            STERNA_TRY(auto buffer, repack(w, form, pool));
                            auto owner = std::make_shared<AlignedBuffer<std::uint8_t>>(std::move(buffer));
                            parts.weight_bytes -= w.code_bytes();
                            w.form = form;
                            w.codes = owner->data();
                            parts.weight_bytes += w.code_bytes();
                            parts.memory.push_back(std::as_bytes(owner->span()));
                            parts.owners.push_back(std::move(owner));
                            changed.emplace_back(spec, Matrix(w));
                            return {};
                          }));
  WeightsBuilder builder(parts.config, std::move(parts.weights));
  for (const auto& [spec, matrix] : changed) builder.set_matrix(spec, matrix);
  parts.weights = builder.take();
  return {};
}

namespace {

constexpr std::size_t kProbeColumns = 2560;
constexpr int kProbeRounds = 5;
constexpr double kCertainty = 1.03;  // repeated probes of one form differ by up to 2 %

// A matrix of ones, one token of ones, and the fastest of some products.
class Probe {
 public:
  static Result<Probe> create(CodeForm form, std::size_t blocks, ThreadPool& pool) {
    Probe p;
    p.w_.rows = blocks * kernels::kTileRows;
    p.w_.columns = kProbeColumns;
    p.w_.form = form;
    STERNA_TRY(p.codes_, AlignedBuffer<std::uint8_t>::create(p.w_.code_bytes(), "a measurement"));
    STERNA_TRY(p.y_, AlignedBuffer<float>::create(p.w_.rows, "a measurement"));
    STERNA_TRY(p.q_,
               AlignedBuffer<std::int8_t>::create(kernels::padded_columns(kProbeColumns), "a measurement"));
    // All trits 0; written by the threads that read it.
    const std::uint8_t zeros = form == CodeForm::base3 ? 121 : 0x55;
    pool.run(blocks, 1, [&](std::size_t begin, std::size_t end, std::size_t) {
      std::fill(p.codes_.data() + begin * p.w_.block_bytes(), p.codes_.data() + end * p.w_.block_bytes(),
                zeros);
    });
    std::fill_n(p.q_.data(), kProbeColumns, std::int8_t{1});
    return p;
  }

  void run(const kernels::Kernels& kernels, ThreadPool& pool) {
    constexpr std::size_t groups = kProbeColumns / kernels::kGroupColumns;
    const std::vector<std::int32_t> sums(groups, kernels::kGroupColumns);
    const float one = 1.0F;
    TernaryView w = w_;
    w.codes = codes_.data();
    w.scales = &one;
    const kernels::QuantizedView x{1, kProbeColumns, q_.size(), groups, q_.data(), sums.data(), &one};
    const auto start = std::chrono::steady_clock::now();
    pool.run(w.row_blocks(), 1, [&](std::size_t begin, std::size_t end, std::size_t) {
      kernels.ternary_matmul(w, x, begin, end, y_.data(), w.rows);
    });
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start;
    seconds_ = std::min(seconds_, passed.count());
  }

  [[nodiscard]] double seconds() const { return seconds_; }

 private:
  TernaryView w_;
  AlignedBuffer<std::uint8_t> codes_;
  AlignedBuffer<float> y_;
  AlignedBuffer<std::int8_t> q_;
  double seconds_ = std::numeric_limits<double>::infinity();
};

}  // namespace

Result<Storage> faster_storage(const kernels::Kernels& kernels, ThreadPool& pool, std::size_t bytes) {
  if (bytes == 0) {
    const auto cache = static_cast<std::size_t>(std::max(0L, ::sysconf(_SC_LEVEL3_CACHE_SIZE)));
    bytes = std::clamp<std::size_t>(2 * cache, std::size_t{64} << 20, std::size_t{512} << 20);
  }
  const std::size_t blocks = bytes / (18U << 10) + 1;  // a block in both forms takes 18 KiB
  STERNA_TRY(Probe fast, Probe::create(CodeForm::trit2, blocks, pool));
  STERNA_TRY(Probe small, Probe::create(CodeForm::base3, blocks, pool));
  for (int round = 0; round < kProbeRounds; ++round) {
    fast.run(kernels, pool);
    small.run(kernels, pool);
  }
  return fast.seconds() > kCertainty * small.seconds() ? Storage::small : Storage::fast;
}

bool is_stored_as(const Weights& weights, const ModelConfig& config, Storage storage) {
  bool all = true;
  const Status status =
      for_others(weights, config, storage, [&](const TensorSpec&, const TernaryView&, CodeForm) -> Status {
        all = false;
        return {};
      });
  return status && all;
}

}  // namespace sterna::runtime
