#include "eval/report/verdict.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "eval/report/comparison.h"
#include "eval/report/text.h"

namespace sterna::eval::report {
namespace {

constexpr double kSameSize = 1.02;

// "a, b and c"
std::string list_of(const std::vector<std::string>& names) {
  if (names.empty()) return {};
  std::string text;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (i > 0) text += i + 1 == names.size() ? " and " : ", ";
    text += names[i];
  }
  return text;
}

// With a capital at its beginning: not for what begins with a model's name.
std::string sentence(std::string_view text) {
  if (text.empty()) return {};
  const bool is_small = text[0] >= 'a' && text[0] <= 'z';
  const char first = is_small ? static_cast<char>(text[0] - 'a' + 'A') : text[0];
  return fmt::format("{}{}.", first, text.substr(1));
}

std::uint64_t size_of(const ModelResult& model) { return model.cost ? model.cost->file_bytes : 0; }

std::string domination_words(const Report& report, const ModelResult& model, const ModelResult& other) {
  const auto gap = quality_gap(report, model, other);
  const bool is_larger = size_of(model) > size_of(other);
  if (gap && is_shown(*gap)) {
    return fmt::format("{} and predicts worse than {}", is_larger ? "larger" : "as large", other.name);
  }
  return fmt::format("{} than {} and not shown to predict better", is_larger ? "larger" : "no smaller",
                     other.name);
}

// The facts that stand alone, without a baseline or for it.
std::string own_facts(const ModelResult& model, bool one_vocabulary) {
  std::vector<std::string> facts;
  for (const TextResult& text : model.texts) {
    if (!one_vocabulary) {
      facts.push_back(fmt::format("{} bits per byte on {}", number(text.bits_per_byte), text.text));
      continue;
    }
    facts.push_back(fmt::format("perplexity {} and {} bits per byte on {}", number(text.perplexity),
                                number(text.bits_per_byte), text.text));
  }
  if (model.cost) facts.push_back(bytes(model.cost->file_bytes));
  return sentence(fmt::format("{}", fmt::join(facts, "; ")));
}

class Judge {
 public:
  explicit Judge(const Report& report) : report_(report) {}

  Verdict run() {
    if (report_.models.empty()) {
      verdict_.headline = "No model was measured";
      return verdict_;
    }
    judge_models();
    if (report_.models.size() == 1) {
      single();
    } else if (report_.baseline() != nullptr) {
      against_baseline();
    } else {
      among_equals();
    }
    finish_paragraph();
    return std::move(verdict_);
  }

 private:
  const ModelResult& model(std::size_t i) const { return report_.models[i]; }
  const std::string& name(std::size_t i) const { return report_.models[i].name; }
  Grade grade(std::size_t i) const { return verdict_.models[i].grade; }

  std::vector<std::string> names(const std::vector<std::size_t>& indices) const {
    std::vector<std::string> list;
    list.reserve(indices.size());
    for (const std::size_t i : indices) list.push_back(name(i));
    return list;
  }

  std::vector<std::size_t> with_grade(Grade wanted) const {
    std::vector<std::size_t> list;
    for (std::size_t i = 0; i < report_.models.size(); ++i) {
      if (grade(i) == wanted) list.push_back(i);
    }
    return list;
  }

  void judge_models();
  void single();
  void against_baseline();
  void among_equals();
  void finish_paragraph();
  std::vector<std::size_t> best_of(std::vector<std::size_t> candidates) const;
  std::vector<std::size_t> smallest_of(std::vector<std::size_t> candidates) const;
  std::optional<Estimate> gap(std::size_t a, std::size_t b) const;
  void recommend(const std::vector<std::size_t>& chosen);
  void add_lossless(std::size_t chosen);
  void say(std::string_view text) { sentences_.push_back(sentence(text)); }

  const Report& report_;
  Verdict verdict_;
  std::vector<std::vector<std::string>> facts_;  // of each model beside the baseline
  std::vector<std::string> sentences_;
};

void Judge::judge_models() {
  const ModelResult* baseline = report_.baseline();
  const auto dominators = dominated_by(report_);
  facts_.resize(report_.models.size());
  for (std::size_t i = 0; i < report_.models.size(); ++i) {
    ModelVerdict line;
    line.name = name(i);
    if (baseline == nullptr || &model(i) == baseline) {
      line.grade = baseline == nullptr ? Grade::kNone : Grade::kBaseline;
      line.text = own_facts(model(i), one_tokenizer(report_));
    } else {
      Judgement judgement = judge_model(*baseline, model(i));
      line.grade = judgement.grade;
      facts_[i] = std::move(judgement.facts);
      line.text = sentence(fmt::format("{}", fmt::join(facts_[i], ", ")));
    }
    line.pareto = model(i).cost && bits_per_byte(report_, model(i)) && !dominators[i];
    if (dominators[i]) {
      line.dominated_by = name(*dominators[i]);
      if (!line.text.empty()) line.text += ' ';
      line.text += sentence(domination_words(report_, model(i), model(*dominators[i])));
    }
    verdict_.models.push_back(std::move(line));
  }
}

void Judge::single() {
  const ModelResult& only = model(0);
  verdict_.headline = fmt::format("{} alone: nothing to compare it with", only.name);
  if (!only.texts.empty()) {
    const TextResult& text = only.texts.front();
    verdict_.headline = fmt::format("{}: perplexity {} on {}", only.name, number(text.perplexity), text.text);
  }
  say("one model was measured, so there is nothing to choose between");
}

// Positive: a is worse. By mean accuracy where there are no texts.
std::optional<Estimate> Judge::gap(std::size_t a, std::size_t b) const {
  if (auto by_text = quality_gap(report_, model(a), model(b))) return by_text;
  const auto ours = mean_accuracy(report_, model(a));
  const auto theirs = mean_accuracy(report_, model(b));
  if (!ours || !theirs) return std::nullopt;
  return Estimate{theirs->value - ours->value, std::hypot(ours->error, theirs->error)};
}

// The one that predicts best, and behind it those whose difference from it is not shown.
std::vector<std::size_t> Judge::best_of(std::vector<std::size_t> candidates) const {
  if (candidates.size() < 2) return candidates;
  std::size_t best = candidates.front();
  for (const std::size_t i : candidates) {
    const auto lead = gap(best, i);
    if (lead && lead->value > 0) best = i;
  }
  std::erase_if(candidates, [&](std::size_t i) {
    const auto behind = gap(i, best);
    return i == best || (behind && is_shown(*behind));
  });
  candidates.insert(candidates.begin(), best);
  return candidates;
}

// Those within 2 % of the smallest; the ones without a size only if none has one.
std::vector<std::size_t> Judge::smallest_of(std::vector<std::size_t> candidates) const {
  std::uint64_t smallest = 0;
  for (const std::size_t i : candidates) {
    const std::uint64_t size = size_of(model(i));
    if (size > 0 && (smallest == 0 || size < smallest)) smallest = size;
  }
  if (smallest == 0) return candidates;
  std::erase_if(candidates, [&](std::size_t i) {
    const auto size = static_cast<double>(size_of(model(i)));
    return size == 0 || size > kSameSize * static_cast<double>(smallest);
  });
  return candidates;
}

void Judge::recommend(const std::vector<std::size_t>& chosen) {
  for (const std::size_t i : chosen) verdict_.models[i].recommended = true;
}

std::string comparison_words(Grade grade, const std::string& baseline) {
  switch (grade) {
    case Grade::kEqual:
      return fmt::format("practically equal to {}", baseline);
    case Grade::kDifferent:
      return fmt::format("differs from {}, but is no worse", baseline);
    case Grade::kUnclear:
      return fmt::format("no difference from {} is shown", baseline);
    default:
      return fmt::format("{} than {}", grade_name(grade), baseline);
  }
}

// Beside a model that loses a little, the smallest that loses nothing.
void Judge::add_lossless(std::size_t chosen) {
  if (grade(chosen) < Grade::kUnclear) return;
  const std::vector<std::size_t> equal = smallest_of(with_grade(Grade::kEqual));
  if (equal.empty()) {
    say(fmt::format("none is shown to be practically equal to {}; if nothing may be lost, stay with it",
                    name(0)));
    return;
  }
  const std::string size = size_words(model(0), model(equal.front()));
  say(fmt::format("if nothing may be lost, take {}: practically equal{}{}", fmt::join(names(equal), " or "),
                  size.empty() ? "" : " and ", size));
}

void Judge::against_baseline() {
  std::vector<std::size_t> acceptable;
  bool has_sizes = false;
  for (std::size_t i = 0; i < report_.models.size(); ++i) {
    if (is_acceptable(grade(i))) acceptable.push_back(i);
    has_sizes = has_sizes || size_of(model(i)) > 0;
  }
  const std::string& baseline = name(0);
  const std::vector<std::size_t> chosen =
      has_sizes ? best_of(smallest_of(std::move(acceptable))) : std::vector<std::size_t>{0};
  recommend(chosen);
  if (std::find(chosen.begin(), chosen.end(), 0) != chosen.end()) {
    verdict_.headline = fmt::format("Stay with {}", baseline);
    if (!has_sizes) {
      say("the sizes were not measured, so nothing speaks for another model than the baseline");
    } else {
      say(fmt::format("no smaller model is acceptable in place of {}", baseline));
    }
    return;
  }
  const std::size_t first = chosen.front();
  const std::string size = size_words(model(0), model(first));
  verdict_.headline = fmt::format("Take {}: {}{}{}", fmt::join(names(chosen), " or "),
                                  comparison_words(grade(first), baseline), size.empty() ? "" : ", ", size);
  sentences_.push_back(
      fmt::format("{} is {}: {}.", name(first), grade_name(grade(first)), fmt::join(facts_[first], ", ")));
  if (chosen.size() > 1) say("they are of one size and their difference lies within the errors: no winner");
  add_lossless(first);
}

void Judge::among_equals() {
  std::vector<std::size_t> all(report_.models.size());
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = i;
  const bool by_bits = bits_per_byte(report_, model(0)).has_value();
  if (!by_bits && !mean_accuracy(report_, model(0))) {
    verdict_.headline = "No recommendation: the models have no text and no task in common";
    return;
  }
  const std::vector<std::size_t> best = best_of(std::move(all));
  const std::string_view measure = by_bits ? "fewest bits per byte" : "best mean accuracy";
  const auto value = [&](std::size_t i) {
    return by_bits ? number(*bits_per_byte(report_, model(i))) : percent(*mean_accuracy(report_, model(i)));
  };
  if (best.size() == 1) {
    recommend(best);
    verdict_.headline = fmt::format("Take {}: {} ({})", name(best[0]), measure, value(best[0]));
  } else {
    const std::vector<std::size_t> smallest = smallest_of(best);
    verdict_.headline = fmt::format("No winner: {} differ by less than their errors", list_of(names(best)));
    sentences_.push_back(fmt::format("{} has the {} ({}), but its lead is not shown.", name(best[0]), measure,
                                     value(best[0])));
    if (size_of(model(smallest.front())) > 0 && smallest.size() == 1) {
      recommend(smallest);
      say(fmt::format("the smallest of them is {} ({})", name(smallest[0]),
                      bytes(size_of(model(smallest[0])))));
    }
  }
  std::vector<std::string> pareto;
  for (const ModelVerdict& line : verdict_.models) {
    if (line.pareto) pareto.push_back(line.name);
  }
  if (pareto.size() > 1) {
    say(fmt::format("between size and bits per byte the choice is among {}", list_of(pareto)));
  }
}

void Judge::finish_paragraph() {
  std::vector<std::string> bad;
  for (const Grade wanted : {Grade::kClearlyWorse, Grade::kUnusable}) {
    const std::vector<std::size_t> list = with_grade(wanted);
    if (list.empty()) continue;
    bad.push_back(
        fmt::format("{} {} {}", list_of(names(list)), list.size() == 1 ? "is" : "are", grade_name(wanted)));
  }
  if (!bad.empty()) sentences_.push_back(fmt::format("{}.", fmt::join(bad, "; ")));
  if (!one_tokenizer(report_)) {
    say("the tokenizers differ, so the models are compared by bits per byte; their perplexities are not "
        "comparable");
  }
  verdict_.paragraph = fmt::format("{}", fmt::join(sentences_, " "));
}

}  // namespace

Verdict judge(const Report& report) { return Judge(report).run(); }

}  // namespace sterna::eval::report
