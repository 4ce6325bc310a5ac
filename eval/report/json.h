// report.json: an evaluation as JSON and back.
#pragma once

#include <nlohmann/json.hpp>
#include <string_view>

#include "eval/results.h"
#include "runtime/result.h"

namespace sterna::eval::report {

// Every field of the Report under its name in results.h, behind "format" (1) and "verdict" (what
// report/verdict.h says). NaN and infinity are null, and so is an optional that is not there. Names may hold
// bytes that are no UTF-8: dump() with error_handler_t::replace.
nlohmann::ordered_json to_json(const Report& report);

// What to_json() wrote; the null of a number becomes NaN. A field that is missing keeps its default, so that
// reports of earlier versions can be read; unknown fields are ignored. Errors name the field:
// "models[2].texts[0].tokens: a count is needed".
Result<Report> from_json(const nlohmann::ordered_json& json);

}  // namespace sterna::eval::report
