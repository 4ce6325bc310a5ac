#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "eval/text/text.h"
#include "eval/text/windows.h"
#include "runtime/format.h"

namespace sterna::eval {
namespace {

using runtime::TokenId;

// A text as one tokenizer sees it.
struct CutText {
  std::vector<TokenId> ids;
  std::optional<TokenId> bos;  // replaces the first token of every window
  Protocol protocol;
  std::vector<Window> windows;
};

Result<CutText> cut_text(const Contestant& model, const TextSpec& spec) {
  const runtime::Tokenizer& tokenizer = model.model().tokenizer();
  CutText text{.ids = {}, .bos = {}, .protocol = spec.protocol, .windows = {}};
  auto ids = tokenizer.encode(spec.content, {.add_special = false, .parse_special = spec.parse_special});
  if (!ids) return fail("text '{}', {}: {}", spec.name, model.name, ids.error().message);
  text.ids = *std::move(ids);
  text.bos = first_token(tokenizer);
  if (spec.bos && *spec.bos && !text.bos && model.model().config().bos >= 0) {
    text.bos = model.model().config().bos;
  }
  if (spec.bos && !*spec.bos) text.bos.reset();
  text.protocol.bos = text.bos.has_value();
  auto windows = cut(text.ids.size(), text.protocol);
  if (!windows) return fail("text '{}', {}: {}", spec.name, model.name, windows.error().message);
  text.windows = *std::move(windows);
  if (spec.max_windows != 0 && text.windows.size() > spec.max_windows) text.windows.resize(spec.max_windows);
  return text;
}

std::vector<TokenId> window_ids(const CutText& text, const Window& w) {
  const auto begin = text.ids.begin() + static_cast<std::ptrdiff_t>(w.begin);
  std::vector<TokenId> ids(begin, begin + static_cast<std::ptrdiff_t>(w.count));
  if (text.bos) ids.front() = *text.bos;
  return ids;
}

// Rows of logits in the session that made them.
struct Block {
  std::span<const float> logits;
  std::vector<RowSummary> rows;
};

Result<Block> append(Contestant& model, std::span<const TokenId> ids, std::size_t first,
                     runtime::ThreadPool& pool) {
  Block block;
  STERNA_TRY(block.logits, model.session->append_block(ids, first));
  block.rows = summarize(block.logits, model.model().config().vocab, model.session->kernels(), pool);
  for (std::size_t i = 0; i < block.rows.size(); ++i) {
    if (std::isfinite(block.rows[i].sums.total)) continue;
    return fail(
        "{}: the logits behind token {} of a window are not numbers; the model is damaged, convert it again",
        model.name, model.session->position() - block.rows.size() + i);
  }
  return block;
}

// All models through one window; `wanted` are those whose scores are not known yet.
Result<std::vector<TokenScores>> run_window(std::span<Contestant> models, const std::vector<bool>& wanted,
                                            std::span<const TokenId> ids, const Window& window,
                                            runtime::ThreadPool& pool) {
  std::vector<TokenScores> scores(models.size());
  for (Contestant& model : models) model.session->rewind(0);
  const bool compares = models.front().is_baseline;
  const std::size_t batch = models.front().session->batch();
  // The last token predicts nothing that is scored.
  for (std::size_t begin = 0; begin + 1 < window.count; begin += batch) {
    const std::size_t n = std::min(batch, window.count - 1 - begin);
    const std::size_t first = std::min(n, window.first_scored - std::min(window.first_scored, begin + 1));
    const std::span<const TokenId> block_ids = ids.subspan(begin, n);
    const std::span<const TokenId> targets = ids.subspan(begin + first + 1, n - first);
    Block baseline;
    for (std::size_t m = 0; m < models.size(); ++m) {
      const bool is_reference = compares && m == 0;
      if (!wanted[m] && !is_reference) continue;
      STERNA_TRY(Block block, append(models[m], block_ids, first, pool));
      add_likelihoods(block.logits, block.rows, targets, scores[m]);
      if (is_reference) {
        baseline = std::move(block);
      } else if (compares) {
        add_divergences(baseline.logits, baseline.rows, block.logits, block.rows,
                        models[m].session->kernels(), pool, scores[m]);
      }
    }
  }
  return scores;
}

// The unit's name: everything that its result depends on, but for the settings of the whole journal.
std::string unit_name(const CutText& text, const TextSpec& spec, std::uint32_t crc, std::size_t window,
                      const Contestant& model, const Contestant* baseline) {
  return fmt::format("text {:08x}{} {} {}/{}{} window {} of {} against {}", crc,
                     spec.parse_special ? " special" : "", text.protocol.name, text.protocol.window,
                     text.protocol.stride, text.bos ? fmt::format(" after {}", *text.bos) : "", window,
                     model.checksum, baseline == nullptr ? "nothing" : baseline->checksum);
}

// One window, from the journal or computed.
Result<std::vector<TokenScores>> score_window(std::span<Contestant> models, const CutText& text,
                                              const TextSpec& spec, std::uint32_t crc, std::size_t index,
                                              const Surroundings& s) {
  const Contestant* baseline = models.front().is_baseline ? &models.front() : nullptr;
  const Window& window = text.windows[index];
  const std::size_t scored = window.count - window.first_scored;
  std::vector<TokenScores> known(models.size());
  std::vector<std::string> names(models.size());
  std::vector<bool> wanted(models.size());
  for (std::size_t m = 0; m < models.size(); ++m) {
    const bool compares = baseline != nullptr && m != 0;
    names[m] = unit_name(text, spec, crc, index, models[m], compares ? baseline : nullptr);
    const nlohmann::json* found = s.journal.find(names[m]);
    wanted[m] = found == nullptr;
    if (found != nullptr) {
      STERNA_TRY(known[m], scores_from_json(*found, scored, compares));
    }
  }
  if (std::find(wanted.begin(), wanted.end(), true) == wanted.end()) return known;
  const std::vector<TokenId> ids = window_ids(text, window);
  STERNA_TRY(auto computed, run_window(models, wanted, ids, window, s.pool));
  for (std::size_t m = 0; m < models.size(); ++m) {
    if (!wanted[m]) continue;
    STERNA_CHECK(s.journal.add(names[m], to_json(computed[m])));
    known[m] = std::move(computed[m]);
  }
  return known;
}

Status same_ids(std::span<const Contestant> models, const CutText& expected, const TextSpec& spec) {
  for (const Contestant& model : models.subspan(1)) {
    STERNA_TRY(const CutText other, cut_text(model, spec));
    if (other.ids == expected.ids && other.bos == expected.bos &&
        model.model().config().vocab == models.front().model().config().vocab) {
      continue;
    }
    return fail(
        "{}: its tokenizer or vocabulary differs from that of the baseline {}, so their distributions cannot "
        "be "
        "compared; leave --baseline out to compare bits per byte",
        model.name, models.front().name);
  }
  return {};
}

// Models that see the same windows.
Status run_group(std::span<Contestant> models, const TextSpec& spec, const Surroundings& s,
                 std::size_t done_before, std::size_t groups, std::vector<TextResult>& results) {
  STERNA_TRY(const CutText text, cut_text(models.front(), spec));
  STERNA_CHECK(same_ids(models, text, spec));
  const std::uint32_t crc = runtime::crc32_of(std::as_bytes(std::span(spec.content)));
  std::vector<TokenScores> scores(models.size());
  std::vector<std::size_t> positions;
  const std::vector<std::size_t> bytes = byte_offsets(models.front().model().tokenizer(), text.ids);
  std::uint64_t scored_bytes = 0;
  for (std::size_t i = 0; i < text.windows.size(); ++i) {
    if (s.stop()) return fail("interrupted");
    s.report(done_before * text.windows.size() + i, groups * text.windows.size(), spec.name);
    STERNA_TRY(const auto window_scores, score_window(models, text, spec, crc, i, s));
    for (std::size_t m = 0; m < models.size(); ++m) scores[m].append(window_scores[m]);
    const Window& w = text.windows[i];
    for (std::size_t p = w.first_scored; p < w.count; ++p) positions.push_back(p);
    scored_bytes += bytes[w.begin + w.count] - bytes[w.begin + w.first_scored];
  }
  for (std::size_t m = 0; m < models.size(); ++m) {
    const TokenScores* baseline = models.front().is_baseline && m != 0 ? scores.data() : nullptr;
    TextResult result = summarize_text(scores[m], baseline, positions, text.protocol.window);
    result.text = spec.name;
    result.protocol = text.protocol;
    result.tokens = text.ids.size();
    result.scored_bytes = scored_bytes;
    const double bits = std::log2(std::exp(1.0)) * static_cast<double>(result.scored_tokens) /
                        static_cast<double>(std::max<std::uint64_t>(scored_bytes, 1));
    result.bits_per_byte = {result.nll.value * bits, result.nll.error * bits};
    results.push_back(std::move(result));
  }
  return {};
}

}  // namespace

Result<std::vector<TextResult>> run_text(std::span<Contestant> models, const TextSpec& spec,
                                         const Surroundings& s) {
  std::vector<TextResult> results;
  if (models.front().is_baseline) {
    STERNA_CHECK(run_group(models, spec, s, 0, 1, results));
    return results;
  }
  for (std::size_t m = 0; m < models.size(); ++m) {
    STERNA_CHECK(run_group(models.subspan(m, 1), spec, s, m, models.size(), results));
  }
  return results;
}

}  // namespace sterna::eval
