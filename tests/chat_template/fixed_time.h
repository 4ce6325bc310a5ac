// The clock of the tests' templates.
#pragma once

#include <ctime>

namespace sterna::runtime {

// Friday, 26 July 2024, 14:03:05.
inline std::tm fixed_time() {
  std::tm time{};
  time.tm_year = 124;
  time.tm_mon = 6;
  time.tm_mday = 26;
  time.tm_hour = 14;
  time.tm_min = 3;
  time.tm_sec = 5;
  time.tm_wday = 5;
  time.tm_yday = 207;
  return time;
}

}  // namespace sterna::runtime
