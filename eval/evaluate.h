// All measures of a suite, one after the other, over all models.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "eval/contestant.h"
#include "eval/results.h"
#include "eval/suite.h"

namespace sterna::eval {

// Who a loaded model is: checksums of weights and vocabulary. `path` gives a short name that is not in
// `taken`.
ModelResult identify(const runtime::Model& model, const std::string& path, bool is_baseline,
                     std::span<const ModelResult> taken);

// Fills texts, tasks, generations and needle of models[i] from contestants[i]. The first may be the baseline;
// with a record in its place models[0] is that, and gets texts only. Errors: those of the measures; what a
// suite wants and the contestants' contexts are too short for.
Status evaluate(std::span<Contestant> contestants, const Suite& suite, const Surroundings& surroundings,
                std::span<ModelResult> models, const TextRecord& record = {});

// The record as a model of the report.
ModelResult identify(const BaselineRecord& record, const std::string& path);

}  // namespace sterna::eval
