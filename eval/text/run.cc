#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "eval/text/text.h"
#include "eval/text/windows.h"
#include "runtime/fingerprints.h"
#include "runtime/format.h"
#include "runtime/prompt.h"

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

// A perplexity of a text that the weights were fitted to says nothing about other texts.
Status check_unseen(const Contestant& model, const TextSpec& spec, const CutText& text) {
  const runtime::Calibration& calibration = model.model().calibration();
  if (spec.seen || calibration.fingerprints.empty()) return {};
  const Window& last = text.windows.back();
  const std::span<const TokenId> used(text.ids.data(), last.begin + last.count);
  const std::size_t bytes = byte_offsets(model.model().tokenizer(), used).back();
  const double share =
      runtime::share_known(std::string_view(spec.content).substr(0, bytes), calibration.fingerprints);
  if (share < runtime::kSeenShare) return {};
  return fail(
      "text '{}': {} was calibrated on {}, which holds about {:.0f} % of it, so its perplexity would be too "
      "good; use another text, or --seen-text to measure it all the same",
      spec.name, model.name, calibration.text, 100.0 * share);
}

Result<CutText> cut_text(const Contestant& model, const TextSpec& spec) {
  const runtime::Tokenizer& tokenizer = model.model().tokenizer();
  CutText text{.ids = {}, .bos = {}, .protocol = spec.protocol, .windows = {}};
  auto ids = tokenizer.encode(spec.content, {.add_special = false, .parse_special = spec.parse_special});
  if (!ids) return fail("text '{}', {}: {}", spec.name, model.name, ids.error().message);
  text.ids = *std::move(ids);
  text.bos = runtime::beginning_of_text(tokenizer);
  if (spec.bos && *spec.bos && !text.bos && model.model().config().bos >= 0) {
    text.bos = model.model().config().bos;
  }
  if (spec.bos && !*spec.bos) text.bos.reset();
  text.protocol.bos = text.bos.has_value();
  auto windows = cut(text.ids.size(), text.protocol);
  if (!windows) return fail("text '{}', {}: {}", spec.name, model.name, windows.error().message);
  text.windows = *std::move(windows);
  if (spec.max_windows != 0 && text.windows.size() > spec.max_windows) text.windows.resize(spec.max_windows);
  STERNA_CHECK(check_unseen(model, spec, text));
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

// Names a text and how it is cut, in the journal and in records.
std::string key_of(const CutText& text, const TextSpec& spec) {
  return fmt::format("text {:08x}{} {} {}/{}{}", runtime::crc32_of(std::as_bytes(std::span(spec.content))),
                     spec.parse_special ? " special" : "", text.protocol.name, text.protocol.window,
                     text.protocol.stride, text.bos ? fmt::format(" after {}", *text.bos) : "");
}

// Models that see the same windows: a baseline and what is compared with it, or one model alone or with a
// record.
class Group {
 public:
  Group(std::span<Contestant> models, const TextSpec& spec, const Surroundings& surroundings,
        const TextRecord& record)
      : models_(models),
        spec_(spec),
        s_(surroundings),
        record_(record),
        compares_(models.front().is_baseline) {}

  // done_before of `groups` groups are done, for the progress.
  Status run(std::size_t done_before, std::size_t groups);
  // Of each model, behind that of a record in the first group.
  std::vector<TextResult> results(bool with_record) const;

 private:
  [[nodiscard]] std::string unit(std::size_t window, std::size_t model) const;
  Status same_ids() const;
  Status find_record();
  Result<std::vector<TokenScores>> window_scores(std::size_t index);
  Result<std::vector<TokenScores>> compute(const std::vector<bool>& wanted, const Window& window);
  [[nodiscard]] TextResult result_of(const TokenScores& scores, const TokenScores* baseline) const;

  std::span<Contestant> models_;
  const TextSpec& spec_;
  const Surroundings& s_;
  const TextRecord& record_;
  bool compares_;  // the first model is the baseline
  CutText text_;
  std::string key_;                         // of text and protocol
  const RecordedRows* recorded_ = nullptr;  // what record_.from has of this text
  RecordedRows rows_;                       // what goes into record_.to
  std::vector<TokenScores> scores_;
  std::vector<std::size_t> positions_;  // of the scored tokens in their windows
  std::uint64_t scored_bytes_ = 0;
};

// Everything that the scores depend on, but for the settings of the whole journal.
std::string Group::unit(std::size_t window, std::size_t model) const {
  std::string against = "nothing";
  if (compares_ && model != 0) against = models_.front().checksum;
  if (recorded_ != nullptr) against = fmt::format("a record of {}", record_.from->checksum);
  return fmt::format("{} window {} of {} against {}", key_, window, models_[model].checksum, against);
}

Status Group::same_ids() const {
  for (const Contestant& model : models_.subspan(1)) {
    STERNA_TRY(const CutText other, cut_text(model, spec_));
    if (model.tokenizer == models_.front().tokenizer && other.ids == text_.ids && other.bos == text_.bos &&
        model.model().config().vocab == models_.front().model().config().vocab) {
      continue;
    }
    return fail(
        "{}: its tokenizer or vocabulary differs from that of the baseline {}; without --baseline their bits "
        "per byte "
        "can be compared",
        model.name, models_.front().name);
  }
  return {};
}

Status Group::find_record() {
  if (record_.from == nullptr) return {};
  const Contestant& model = models_.front();
  if (model.tokenizer != record_.from->tokenizer) {
    return fail("{}: its tokenizer differs from that of the recorded baseline {}", model.name,
                record_.from->name);
  }
  const RecordedText* found = record_.from->find(key_);
  std::size_t scored = 0;
  for (const Window& w : text_.windows) scored += w.count - w.first_scored;
  if (found == nullptr || found->rows.tokens() < scored) {
    return fail(
        "text '{}': the recorded baseline {} holds no such text in such windows; record it with the same "
        "text, "
        "protocol and window",
        spec_.name, record_.from->name);
  }
  const auto largest = std::max_element(found->rows.ids.begin(), found->rows.ids.end());
  if (static_cast<std::uint32_t>(*largest) >= model.model().config().vocab) {
    return fail("{}: the recorded baseline {} has tokens beyond its vocabulary", model.name,
                record_.from->name);
  }
  recorded_ = &found->rows;
  return {};
}

// All models through one window; `wanted` are those whose scores are not known yet.
Result<std::vector<TokenScores>> Group::compute(const std::vector<bool>& wanted, const Window& window) {
  const std::vector<TokenId> ids = window_ids(text_, window);
  std::vector<TokenScores> scores(models_.size());
  for (Contestant& model : models_) model.session->rewind(0);
  const std::size_t batch = models_.front().session->batch();
  // The last token predicts nothing that is scored.
  for (std::size_t begin = 0; begin + 1 < window.count; begin += batch) {
    const std::size_t n = std::min(batch, window.count - 1 - begin);
    const std::size_t first = std::min(n, window.first_scored - std::min(window.first_scored, begin + 1));
    const auto block_ids = std::span(ids).subspan(begin, n);
    const auto targets = std::span(ids).subspan(begin + first + 1, n - first);
    Block baseline;
    for (std::size_t m = 0; m < models_.size(); ++m) {
      const bool is_baseline = compares_ && m == 0;
      if (!wanted[m] && !is_baseline) continue;
      STERNA_TRY(Block block, append(models_[m], block_ids, first, s_.pool));
      add_likelihoods(block.logits, block.rows, targets, scores[m]);
      if (is_baseline) {
        if (record_.to != nullptr) add_rows(block.logits, block.rows, targets, s_.pool, rows_);
        baseline = std::move(block);
      } else if (compares_) {
        add_divergences(baseline.logits, baseline.rows, block.logits, block.rows,
                        models_[m].session->kernels(), s_.pool, scores[m]);
      } else if (recorded_ != nullptr) {
        add_divergences(*recorded_, positions_.size() + scores[m].kl.size(), block.logits, block.rows,
                        scores[m]);
      }
    }
  }
  return scores;
}

// One window, from the journal or computed.
Result<std::vector<TokenScores>> Group::window_scores(std::size_t index) {
  const Window& window = text_.windows[index];
  std::vector<TokenScores> known(models_.size());
  std::vector<bool> wanted(models_.size());
  for (std::size_t m = 0; m < models_.size(); ++m) {
    const nlohmann::json* found = s_.journal.find(unit(index, m));
    // A record needs every row of the baseline.
    wanted[m] = found == nullptr || (record_.to != nullptr && compares_ && m == 0);
    if (wanted[m]) continue;
    const bool divergences = recorded_ != nullptr || (compares_ && m != 0);
    STERNA_TRY(known[m], scores_from_json(*found, window.count - window.first_scored, divergences));
  }
  if (std::find(wanted.begin(), wanted.end(), true) == wanted.end()) return known;
  STERNA_TRY(auto computed, compute(wanted, window));
  for (std::size_t m = 0; m < models_.size(); ++m) {
    if (!wanted[m]) continue;
    STERNA_CHECK(s_.journal.add(unit(index, m), to_json(computed[m])));
    known[m] = std::move(computed[m]);
  }
  return known;
}

Status Group::run(std::size_t done_before, std::size_t groups) {
  STERNA_TRY(text_, cut_text(models_.front(), spec_));
  key_ = key_of(text_, spec_);
  STERNA_CHECK(same_ids());
  STERNA_CHECK(find_record());
  scores_.resize(models_.size());
  const std::vector<std::size_t> bytes = byte_offsets(models_.front().model().tokenizer(), text_.ids);
  for (std::size_t i = 0; i < text_.windows.size(); ++i) {
    if (s_.stop()) return fail("interrupted");
    s_.report(done_before * text_.windows.size() + i, groups * text_.windows.size(), spec_.name);
    STERNA_TRY(const auto scores, window_scores(i));
    for (std::size_t m = 0; m < models_.size(); ++m) scores_[m].append(scores[m]);
    const Window& w = text_.windows[i];
    for (std::size_t p = w.first_scored; p < w.count; ++p) positions_.push_back(p);
    scored_bytes_ += bytes[w.begin + w.count] - bytes[w.begin + w.first_scored];
  }
  if (record_.to != nullptr && compares_) record_.to->texts.push_back({key_, std::move(rows_)});
  return {};
}

TextResult Group::result_of(const TokenScores& scores, const TokenScores* baseline) const {
  TextResult result = summarize_text(scores, baseline, positions_, text_.protocol.window);
  result.text = spec_.name;
  result.protocol = text_.protocol;
  result.tokens = text_.ids.size();
  result.scored_bytes = scored_bytes_;
  const double bits = std::log2(std::exp(1.0)) * static_cast<double>(result.scored_tokens) /
                      static_cast<double>(std::max<std::uint64_t>(scored_bytes_, 1));
  result.bits_per_byte = {result.nll.value * bits, result.nll.error * bits};
  return result;
}

std::vector<TextResult> Group::results(bool with_record) const {
  std::vector<TextResult> all;
  TokenScores recorded;
  if (recorded_ != nullptr) {
    recorded.nll.assign(recorded_->nll.begin(),
                        recorded_->nll.begin() + static_cast<std::ptrdiff_t>(positions_.size()));
    if (with_record) all.push_back(result_of(recorded, nullptr));
  }
  for (std::size_t m = 0; m < models_.size(); ++m) {
    const TokenScores* baseline = recorded_ != nullptr  ? &recorded
                                  : compares_ && m != 0 ? scores_.data()
                                                        : nullptr;
    all.push_back(result_of(scores_[m], baseline));
  }
  return all;
}

}  // namespace

Result<std::vector<TextResult>> run_text(std::span<Contestant> models, const TextSpec& spec,
                                         const Surroundings& s, const TextRecord& record) {
  const std::size_t in_group = models.front().is_baseline ? models.size() : 1;
  std::vector<TextResult> results;
  for (std::size_t m = 0; m < models.size(); m += in_group) {
    Group group(models.subspan(m, in_group), spec, s, record);
    STERNA_CHECK(group.run(m / in_group, models.size() / in_group));
    for (TextResult& result : group.results(/*with_record=*/m == 0)) results.push_back(std::move(result));
  }
  return results;
}

}  // namespace sterna::eval
