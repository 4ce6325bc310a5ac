// The text that a conversion is calibrated on when the user gives none; convert/data/README.md says what it
// is.
#pragma once

#include <string_view>

namespace sterna::convert {

std::string_view default_calibration_text();

}  // namespace sterna::convert
