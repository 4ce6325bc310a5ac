// The files of a report.
#pragma once

#include <string>

#include "eval/results.h"
#include "runtime/result.h"

namespace sterna::eval::report {

// report.html, report.md and report.json in `directory`, which is made with its parents if it is not there.
// Each is written beside and renamed, so that an earlier report stays whole until the new one is. Errors: a
// directory that cannot be made, a file that cannot be written.
Status write_report(const Report& report, const std::string& directory);

}  // namespace sterna::eval::report
