#include "eval/text/scores.h"

#include <algorithm>
#include <cassert>
#include <cmath>

namespace sterna::eval {
namespace {

using nlohmann::json;
using runtime::TokenId;

// The five largest by insertion: nearly always one comparison for each logit.
std::array<TokenId, kTop> largest(std::span<const float> logits) {
  std::array<TokenId, kTop> ids{};
  ids.fill(-1);
  std::array<float, kTop> values{};
  std::size_t filled = 0;
  for (std::size_t id = 0; id < logits.size(); ++id) {
    const float x = logits[id];
    if (filled == kTop && !(x > values[kTop - 1])) continue;
    std::size_t at = filled < kTop ? filled++ : kTop - 1;
    for (; at > 0 && x > values[at - 1]; --at) {
      values[at] = values[at - 1];
      ids[at] = ids[at - 1];
    }
    values[at] = x;
    ids[at] = static_cast<TokenId>(id);
  }
  return ids;
}

std::uint8_t shared(const std::array<TokenId, kTop>& a, const std::array<TokenId, kTop>& b) {
  return static_cast<std::uint8_t>(std::count_if(a.begin(), a.end(), [&](TokenId id) {
    return id >= 0 && std::find(b.begin(), b.end(), id) != b.end();
  }));
}

template <class T>
void append_to(std::vector<T>& to, const std::vector<T>& from) {
  to.insert(to.end(), from.begin(), from.end());
}

template <class T>
bool read(const json& object, const char* key, std::size_t size, std::vector<T>& out) {
  const auto list = object.find(key);
  if (list == object.end() || !list->is_array() || list->size() != size) return false;
  for (const json& number : *list) {
    if (!number.is_number()) return false;
    out.push_back(number.get<T>());
  }
  return true;
}

}  // namespace

void TokenScores::append(const TokenScores& other) {
  append_to(nll, other.nll);
  append_to(kl, other.kl);
  append_to(same_top, other.same_top);
  append_to(top5, other.top5);
}

json to_json(const TokenScores& s) {
  json object = {{"nll", s.nll}};
  if (!s.kl.empty()) {
    object["kl"] = s.kl;
    object["same_top"] = s.same_top;
    object["top5"] = s.top5;
  }
  return object;
}

Result<TokenScores> scores_from_json(const json& object, std::size_t tokens, bool compares) {
  TokenScores s;
  const bool good =
      object.is_object() && read(object, "nll", tokens, s.nll) &&
      (!compares || (read(object, "kl", tokens, s.kl) && read(object, "same_top", tokens, s.same_top) &&
                     read(object, "top5", tokens, s.top5)));
  if (!good)
    return fail("the journal holds something else than the scores of {} tokens; run without --resume",
                tokens);
  return s;
}

std::vector<RowSummary> summarize(std::span<const float> logits, std::size_t vocab,
                                  const kernels::Kernels& kernels, runtime::ThreadPool& pool) {
  std::vector<RowSummary> rows(logits.size() / vocab);
  pool.run(rows.size(), 1, [&](std::size_t begin, std::size_t end, std::size_t) {
    for (std::size_t i = begin; i < end; ++i) {
      const std::span<const float> row = logits.subspan(i * vocab, vocab);
      rows[i] = {kernels.softmax_total(row.data(), vocab), largest(row)};
    }
  });
  return rows;
}

void add_likelihoods(std::span<const float> logits, std::span<const RowSummary> rows,
                     std::span<const TokenId> targets, TokenScores& scores) {
  assert(rows.size() == targets.size());
  if (rows.empty()) return;
  const std::size_t vocab = logits.size() / rows.size();
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const double logit = static_cast<double>(logits[i * vocab + static_cast<std::size_t>(targets[i])]);
    scores.nll.push_back(std::log(rows[i].sums.total) + (static_cast<double>(rows[i].sums.maximum) - logit));
  }
}

void add_agreement(const RowSummary& baseline, const RowSummary& model, TokenScores& scores) {
  scores.same_top.push_back(baseline.top[0] == model.top[0] ? 1 : 0);
  scores.top5.push_back(shared(baseline.top, model.top));
}

void add_divergences(std::span<const float> baseline, std::span<const RowSummary> baseline_rows,
                     std::span<const float> model, std::span<const RowSummary> model_rows,
                     const kernels::Kernels& kernels, runtime::ThreadPool& pool, TokenScores& scores) {
  assert(baseline.size() == model.size() && baseline_rows.size() == model_rows.size());
  const std::size_t n = model_rows.size();
  if (n == 0) return;
  const std::size_t vocab = model.size() / n;
  const std::size_t first = scores.kl.size();
  scores.kl.resize(first + n);
  pool.run(n, 1, [&](std::size_t begin, std::size_t end, std::size_t) {
    for (std::size_t i = begin; i < end; ++i) {
      const kernels::SoftmaxTotal& p = baseline_rows[i].sums;
      const kernels::SoftmaxTotal& q = model_rows[i].sums;
      const double sum = kernels.divergence_sum(baseline.data() + i * vocab, p.maximum,
                                                model.data() + i * vocab, q.maximum, vocab);
      scores.kl[first + i] = sum / p.total - std::log(p.total) + std::log(q.total);
    }
  });
  for (std::size_t i = 0; i < n; ++i) add_agreement(baseline_rows[i], model_rows[i], scores);
}

}  // namespace sterna::eval
