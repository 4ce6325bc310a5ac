#include "eval/generation/generation.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "eval/statistics.h"
#include "runtime/format.h"
#include "runtime/generate.h"
#include "runtime/prompt.h"

namespace sterna::eval {
namespace {

using nlohmann::json;
using runtime::TokenId;

// What the journal keeps of an answer.
struct Written {
  std::vector<TokenId> tokens;
  std::string text;
  bool finished = false;
};

Result<std::vector<TokenId>> encode_prompt(const runtime::Model& model, const std::string& prompt) {
  if (!model.chat_template()) return runtime::encode_text(model, prompt);
  const std::vector<runtime::ChatMessage> messages = {{"user", prompt}};
  return runtime::encode_chat(model, messages, /*add_generation_prompt=*/true);
}

Result<Written> write(Contestant& model, const GenerationSpec& spec, const std::string& prompt,
                      const Surroundings& s) {
  auto ids = encode_prompt(model.model(), prompt);
  if (!ids) return fail("{}: {}", model.name, ids.error().message);
  model.session->rewind(0);
  const std::size_t room = model.session->context() - std::min(model.session->context(), ids->size());
  runtime::Sampler sampler(spec.sampling);
  const auto generation = runtime::generate(*model.session, *ids, std::min(spec.limit, room), sampler,
                                            [&](std::string_view) { return !s.stop(); });
  if (!generation) return fail("{}: {}", model.name, generation.error().message);
  if (generation->finish == runtime::Finish::cancelled || s.stop()) return fail("interrupted");
  return Written{generation->tokens, generation->text, generation->finish == runtime::Finish::stop};
}

Result<Written> known_or_written(Contestant& model, const GenerationSpec& spec, const std::string& prompt,
                                 const Surroundings& s) {
  const runtime::SamplingOptions& o = spec.sampling;
  const std::string unit =
      fmt::format("answer {} to {:08x} limit {} temperature {} top-k {} top-p {} min-p {} seed {}",
                  model.checksum, runtime::crc32_of(std::as_bytes(std::span(prompt))), spec.limit,
                  o.temperature, o.top_k, o.top_p, o.min_p, o.seed);
  if (const json* found = s.journal.find(unit)) {
    const bool good = found->is_object() && found->value("tokens", json()).is_array() &&
                      found->value("text", json()).is_string() &&
                      found->value("finished", json()).is_boolean();
    if (!good) return fail("the journal holds no answer under '{}'; run without --resume", unit);
    return Written{(*found)["tokens"].get<std::vector<TokenId>>(), (*found)["text"].get<std::string>(),
                   (*found)["finished"].get<bool>()};
  }
  STERNA_TRY(Written written, write(model, spec, prompt, s));
  STERNA_CHECK(s.journal.add(
      unit, {{"tokens", written.tokens}, {"text", written.text}, {"finished", written.finished}}));
  return written;
}

std::size_t common_tokens(const Written& a, const Written& b) {
  return static_cast<std::size_t>(
      std::mismatch(a.tokens.begin(), a.tokens.end(), b.tokens.begin(), b.tokens.end()).first -
      a.tokens.begin());
}

// answers[i] is to spec.prompts[i].
GenerationResult summarize(const GenerationSpec& spec, const std::vector<Written>& answers,
                           const std::vector<Written>* baseline) {
  GenerationResult result;
  result.name = spec.name;
  result.limit = spec.limit;
  std::vector<double> looping;
  std::vector<double> lengths;
  std::vector<double> agreement;
  std::vector<std::vector<TokenId>> tokens;
  for (std::size_t i = 0; i < answers.size(); ++i) {
    const Written& a = answers[i];
    Answer answer{spec.prompts[i], a.text, a.tokens.size(), loops(a.tokens), a.finished, {}};
    if (baseline != nullptr) {
      const Written& b = (*baseline)[i];
      const std::size_t common = common_tokens(a, b);
      const bool same = common == a.tokens.size() && common == b.tokens.size() && a.finished == b.finished;
      if (!same) answer.first_difference = common;
      agreement.push_back(same || b.tokens.empty()
                              ? (same ? 1.0 : 0.0)
                              : static_cast<double>(common) / static_cast<double>(b.tokens.size()));
    }
    looping.push_back(answer.loops ? 1 : 0);
    lengths.push_back(static_cast<double>(a.tokens.size()));
    tokens.push_back(a.tokens);
    result.answers.push_back(std::move(answer));
  }
  result.looping = mean_of(looping);
  result.length = mean_of(lengths);
  result.distinct1 = distinct_share(tokens, 1);
  result.distinct2 = distinct_share(tokens, 2);
  result.distinct3 = distinct_share(tokens, 3);
  if (baseline != nullptr) result.agreement = mean_of(agreement);
  return result;
}

}  // namespace

bool loops(std::span<const TokenId> tokens) {
  // `run` tokens at the end are equal to those `period` before them.
  for (std::size_t period = 1; period <= kLongestPeriod && 3 * period <= tokens.size(); ++period) {
    const std::size_t wanted = std::max(3 * period, kLoopTokens);
    if (wanted > tokens.size()) continue;
    std::size_t run = period;
    while (run < wanted && tokens[tokens.size() - 1 - run] == tokens[tokens.size() - 1 - run + period]) ++run;
    if (run >= wanted) return true;
  }
  return false;
}

double distinct_share(std::span<const std::vector<TokenId>> answers, std::size_t n) {
  std::set<std::vector<TokenId>> distinct;
  std::size_t all = 0;
  for (const std::vector<TokenId>& tokens : answers) {
    for (std::size_t i = 0; i + n <= tokens.size(); ++i) {
      const auto begin = tokens.begin() + static_cast<std::ptrdiff_t>(i);
      distinct.emplace(begin, begin + static_cast<std::ptrdiff_t>(n));
      ++all;
    }
  }
  return all == 0 ? 0 : static_cast<double>(distinct.size()) / static_cast<double>(all);
}

Result<std::vector<GenerationResult>> run_generation(std::span<Contestant> models, const GenerationSpec& spec,
                                                     const Surroundings& s) {
  const std::string what = fmt::format("{} answers", spec.name);
  std::vector<std::vector<Written>> answers(models.size());
  for (std::size_t i = 0; i < spec.prompts.size(); ++i) {
    for (std::size_t m = 0; m < models.size(); ++m) {
      if (s.stop()) return fail("interrupted");
      s.report(i * models.size() + m, spec.prompts.size() * models.size(), what);
      STERNA_TRY(Written written, known_or_written(models[m], spec, spec.prompts[i], s));
      answers[m].push_back(std::move(written));
    }
  }
  const Contestant* baseline =
      models.front().is_baseline && spec.sampling.temperature <= 0 ? &models.front() : nullptr;
  std::vector<GenerationResult> results;
  for (std::size_t m = 0; m < models.size(); ++m) {
    const bool compares = baseline != nullptr && m != 0 && models[m].tokenizer == baseline->tokenizer;
    results.push_back(summarize(spec, answers[m], compares ? answers.data() : nullptr));
  }
  return results;
}

}  // namespace sterna::eval
