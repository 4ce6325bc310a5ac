// report.html: one page that needs nothing else. Well-formed XML as well as HTML 5, no scripts, light and
// dark, for narrow screens and for paper.
#pragma once

#include <string>

#include "eval/results.h"

namespace sterna::eval::report {

std::string html(const Report& report);

// The rules of the page beside those of the plots (report/svg.h).
std::string_view page_style();

}  // namespace sterna::eval::report
