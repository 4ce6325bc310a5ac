#include "runtime/benchmark.h"

#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <numeric>

#include "runtime/sampler.h"
#include "runtime/top_rows.h"

namespace sterna::runtime {
namespace {

// Tokens of no meaning, all in the vocabulary, not all the same.
std::vector<TokenId> some_tokens(std::size_t n, std::uint32_t vocab) {
  std::vector<TokenId> ids(n);
  for (std::size_t i = 0; i < n; ++i) ids[i] = static_cast<TokenId>((i * 7919 + 13) % vocab);
  return ids;
}

// What is read of the head is added to `read`.
Result<double> seconds_of(Session& session, const SpeedTest& test, std::span<const TokenId> ids,
                          SpeedResult& read) {
  constexpr LogitsNeed kNeed{SamplingOptions().top_k};
  session.rewind(test.depth);
  const auto start = std::chrono::steady_clock::now();
  if (test.prompt > 0) STERNA_CHECK(session.append(ids.first(test.prompt), kNeed));
  for (std::size_t i = 0; i < test.generate; ++i) {
    STERNA_CHECK(session.append(ids.subspan(test.prompt + i, 1), kNeed));
    read.head_rows += static_cast<double>(session.head_reads().rows);
    read.head_bytes +=
        static_cast<double>(bytes_read(session.model().weights().output, session.head_reads()));
  }
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

std::uint64_t matrix_bytes(const Matrix& m) {
  if (!m.ternary) return std::uint64_t{m.rows()} * m.columns() * kernels::dense_bytes(m.dense.type);
  const std::uint64_t scale = m.trits.scale_type == kernels::ScaleType::f32 ? 4 : 2;
  return m.trits.code_bytes() + m.trits.scale_count() * scale;
}

}  // namespace

std::string SpeedTest::name() const {
  std::string name;
  if (prompt > 0) name = fmt::format("pp{}", prompt);
  if (generate > 0) name += fmt::format("{}tg{}", name.empty() ? "" : "+", generate);
  if (depth > 0) name += fmt::format(" @ d{}", depth);
  return name;
}

double SpeedResult::mean() const {
  return std::accumulate(tokens_per_second.begin(), tokens_per_second.end(), 0.0) /
         static_cast<double>(tokens_per_second.size());
}

double SpeedResult::deviation() const {
  if (tokens_per_second.size() < 2) return 0.0;
  double sum = 0.0;
  for (const double x : tokens_per_second) sum += (x - mean()) * (x - mean());
  return std::sqrt(sum / static_cast<double>(tokens_per_second.size() - 1));
}

Result<SpeedResult> measure_speed(Session& session, const SpeedTest& test, std::size_t repetitions,
                                  Profile* profile) {
  const std::uint32_t vocab = session.model().config().vocab;
  const std::vector<TokenId> before = some_tokens(test.depth, vocab);
  const std::vector<TokenId> ids = some_tokens(test.tokens(), vocab);
  session.rewind(0);
  if (!before.empty()) STERNA_CHECK(session.append(before));
  SpeedResult result;
  STERNA_TRY(const double warm_up, seconds_of(session, test, ids, result));
  static_cast<void>(warm_up);
  result = {};
  for (std::size_t i = 0; i < repetitions; ++i) {
    STERNA_TRY(const double seconds, seconds_of(session, test, ids, result));
    result.tokens_per_second.push_back(static_cast<double>(test.tokens()) / seconds);
  }
  if (test.generate > 0) {
    result.head_rows /= static_cast<double>(repetitions * test.generate);
    result.head_bytes /= static_cast<double>(repetitions * test.generate);
  }
  if (profile != nullptr) {
    SpeedResult unused;
    session.set_profile(profile);
    const Result<double> profiled = seconds_of(session, test, ids, unused);
    session.set_profile(nullptr);
    if (!profiled) return profiled.error();
  }
  return result;
}

std::uint64_t bytes_per_token(const Model& model, std::size_t depth, kernels::KvType kv, double head_bytes) {
  const ModelConfig& c = model.config();
  const Weights& w = model.weights();
  std::uint64_t bytes =
      w.embedding.row_bytes() + static_cast<std::uint64_t>(head_bytes) + std::uint64_t{4} * c.hidden;
  for (const LayerWeights& layer : w.layers) {
    for (const Linear* linear :
         {&layer.q, &layer.k, &layer.v, &layer.o, &layer.gate, &layer.up, &layer.down}) {
      bytes += matrix_bytes(linear->weight);
    }
    bytes += std::uint64_t{4} * 2 * c.hidden;
  }
  const std::uint64_t row = kernels::kv_stride(kv, c.head_dim) * kernels::kv_bytes(kv) +
                            (kv == kernels::KvType::i8 ? sizeof(float) : 0);
  return bytes + std::uint64_t{2} * c.layers * c.kv_heads * row * depth;
}

}  // namespace sterna::runtime
