#include "eval/generation/needle.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <random>
#include <string>
#include <string_view>

#include "runtime/generate.h"
#include "runtime/prompt.h"

namespace sterna::eval {
namespace {

using runtime::TokenId;

constexpr std::array kSentences = {
    "The baker opens the shop before sunrise and puts the bread into the window.",
    "On Mondays the market is closed, and the square belongs to the pigeons.",
    "My neighbour repairs old radios and gives them to the school.",
    "The river was high after the rain, so the ferry stayed on the other side.",
    "She wrote the letter twice and sent neither of the two.",
    "In winter the children walk across the field to save ten minutes.",
    "The library has a room with maps that nobody has opened for years.",
    "He counted the stairs again, as he did every evening.",
    "A cat slept on the warm stones beside the wall of the garden.",
    "The train was late, and people began to talk to each other.",
    "They painted the door green because the shop had no other colour left.",
    "After lunch the old men play cards under the chestnut tree.",
    "The new teacher plays the violin when she thinks that nobody listens.",
    "From the hill one can see the lights of the harbour.",
    "Two boys carried a table through the street and stopped at every corner.",
    "The clock in the kitchen has been five minutes fast since spring."};
constexpr std::array kTowns = {"Lisbon", "Bergen", "Turin",  "Ghent",  "Riga",  "Cork",
                               "Split",  "Basel",  "Malaga", "Dundee", "Tartu", "Nagoya"};
constexpr std::size_t kAnswerTokens = 12;

struct Question {
  std::string text;
  std::string number;
};

// `sentences` sentences with the needle behind the share `depth` of them.
Question question(std::size_t sentences, double depth, std::size_t trial) {
  std::mt19937_64 random(1000 + trial);
  const std::string_view town = kTowns[trial % kTowns.size()];
  Question q;
  q.number = fmt::format("{}", 10000 + random() % 90000);
  const auto place = static_cast<std::size_t>(std::lround(depth * static_cast<double>(sentences)));
  for (std::size_t i = 0; i <= sentences; ++i) {
    if (i == place) q.text += fmt::format("The secret number of {} is {}. ", town, q.number);
    if (i < sentences) q.text += fmt::format("{} ", kSentences[random() % kSentences.size()]);
  }
  q.text += fmt::format("What is the secret number of {}? The secret number of {} is", town, town);
  return q;
}

struct Prompt {
  std::vector<TokenId> ids;
  std::string number;
};

// The longest text of at most `length` tokens: the number of sentences by bisection.
Result<Prompt> fitting(const runtime::Model& model, std::size_t length, double depth, std::size_t trial) {
  std::size_t fits = 0;
  std::size_t too_many = length;  // a sentence has more than one token
  Prompt best;
  while (fits + 1 < too_many) {
    const std::size_t middle = (fits + too_many) / 2;
    Question q = question(middle, depth, trial);
    STERNA_TRY(auto ids, runtime::encode_text(model, q.text));
    if (ids.size() > length) {
      too_many = middle;
    } else {
      fits = middle;
      best = {std::move(ids), std::move(q.number)};
    }
  }
  if (best.ids.empty()) return fail("a text of {} tokens is too short to hide anything in", length);
  return best;
}

Result<bool> finds(Contestant& model, std::size_t length, double depth, std::size_t trial,
                   const Surroundings& s) {
  const std::string unit =
      fmt::format("needle {} length {} depth {} trial {}", model.checksum, length, depth, trial);
  if (const nlohmann::json* found = s.journal.find(unit); found != nullptr && found->is_boolean()) {
    return found->get<bool>();
  }
  STERNA_TRY(const Prompt prompt, fitting(model.model(), length - kAnswerTokens, depth, trial));
  model.session->rewind(0);
  runtime::Sampler greedy({.temperature = 0.0F});
  STERNA_TRY(const auto answer,
             runtime::generate(*model.session, prompt.ids, kAnswerTokens, greedy, nullptr));
  const bool right = answer.text.find(prompt.number) != std::string::npos;
  STERNA_CHECK(s.journal.add(unit, right));
  return right;
}

}  // namespace

Result<std::vector<std::vector<NeedleCell>>> run_needle(std::span<Contestant> models, const NeedleSpec& spec,
                                                        const Surroundings& s) {
  std::vector<std::vector<NeedleCell>> cells(models.size());
  const std::size_t total = models.size() * spec.lengths.size() * spec.depths.size();
  std::size_t done = 0;
  for (std::size_t m = 0; m < models.size(); ++m) {
    for (const std::size_t length : spec.lengths) {
      for (const double depth : spec.depths) {
        s.report(done++, total, "needle");
        if (length > models[m].session->context()) continue;
        NeedleCell cell{length, depth, 0, 0};
        for (std::size_t trial = 0; trial < spec.trials; ++trial) {
          if (s.stop()) return fail("interrupted");
          auto found = finds(models[m], length, depth, trial, s);
          if (!found) return fail("needle, {}: {}", models[m].name, found.error().message);
          ++cell.asked;
          cell.found += *found ? 1 : 0;
        }
        cells[m].push_back(cell);
      }
    }
  }
  return cells;
}

}  // namespace sterna::eval
