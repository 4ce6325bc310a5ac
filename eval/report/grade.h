// A model beside the baseline in one word, by rules that anybody can check.
//
// Loss. The change of the loss in nats per token (comparison.h: loss_change), on the text where the model
// does worst, with its 95 % interval:
//   practically equal   the interval ends below ln 1.02: perplexity may have risen by 2 % at most. This must
//                       be shown; a short text cannot show it.
//   not distinguishable the interval goes beyond ln 1.02 but contains 0: nothing is shown.
//   slightly worse      up to a ratio of 1.10: the right token has lost a tenth of its probability.
//   clearly worse       up to 2: half of it, one bit more for every token.
//   unusable            beyond 2, or no finite number.
// Choice. A model that is practically equal by its loss chooses the baseline's most likely token in at least
// 95 % of the places, else it is "no worse, but different". One that is worse by its loss is at least
// slightly worse below 95 %, clearly worse below 85 % and unusable below 50 %: every second token another
// one. Tasks. A drop that the paired test shows at 5 % (over all the model's tasks together: Holm, 1979)
// makes a model at least slightly worse, a drop of 10 points or more clearly worse. Answers. Looping in 10 of
// 100 answers more than the baseline, shown at 95 %, makes it clearly worse.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "eval/results.h"

namespace sterna::eval::report {

constexpr double kEqualRatio = 1.02;
constexpr double kSlightRatio = 1.10;
constexpr double kUsableRatio = 2.0;
constexpr double kEqualTop1 = 0.95;
constexpr double kSlightTop1 = 0.85;
constexpr double kUsableTop1 = 0.50;
constexpr double kClearDrop = 0.10;
constexpr double kClearLooping = 0.10;

// Ascending: a later one is a worse thing to say.
enum class Grade {
  kBaseline,
  kEqual,
  kDifferent,
  kUnclear,
  kSlightlyWorse,
  kClearlyWorse,
  kUnusable,
  kNone,  // nothing was measured that compares
};

std::string_view grade_name(Grade grade);  // "practically equal"

// A model that may be recommended in the baseline's place: nothing from clearly worse on.
bool is_acceptable(Grade grade);

struct Judgement {
  Grade grade = Grade::kNone;
  std::vector<std::string> facts;  // in words with numbers, most important first
};

// `model` is not the baseline itself.
Judgement judge_model(const ModelResult& baseline, const ModelResult& model);

// "5.1x smaller", "1.3x larger", "of the same size" (within 5 %); empty where a size is missing.
std::string size_words(const ModelResult& baseline, const ModelResult& model);

}  // namespace sterna::eval::report
