// What to take, in words.
//
// With a baseline: each model has a grade (grade.h). Recommended is the smallest file among the acceptable
// models, the baseline included; of those within 2 % of its size the one that predicts best, and where two of
// these differ by less than their 95 % interval both are named and none wins. A model that is practically
// equal is named beside one that is only slightly worse. Without sizes nothing is smaller, so the baseline
// stays. Without a baseline: the fewest bits per byte, or without texts the best mean accuracy; models whose
// difference from the best lies within the errors share the place, and the smallest of them is named.
// A model is dominated if another one is no larger and predicts no worse (comparison.h); the sentence says
// whether "worse" is shown or lies within the errors.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "eval/report/grade.h"
#include "eval/results.h"

namespace sterna::eval::report {

struct ModelVerdict {
  std::string name;
  Grade grade = Grade::kNone;
  bool recommended = false;
  bool pareto = false;       // no other model is smaller and as good; needs sizes and texts
  std::string dominated_by;  // empty: by none
  std::string text;          // the facts, one sentence or two
};

struct Verdict {
  std::string headline;              // "Take X: practically equal to Y and 5.1x smaller"
  std::string paragraph;             // one to four sentences
  std::vector<ModelVerdict> models;  // in the report's order
};

Verdict judge(const Report& report);

}  // namespace sterna::eval::report
