// Rendering in one call, for tests.
#pragma once

#include <gtest/gtest.h>

#include <ctime>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "runtime/chat_template/chat_template.h"

namespace sterna::runtime {

using Json = nlohmann::ordered_json;

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

// The text, or "error: " and the message.
inline std::string render(std::string source, const Json& context, TemplateLimits limits = {}) {
  limits.clock = fixed_time;
  const auto parsed = ChatTemplate::parse(std::move(source), "test", std::move(limits));
  if (!parsed) return "error: " + parsed.error().message;
  const auto text = parsed->render(context);
  return text ? *text : "error: " + text.error().message;
}

}  // namespace sterna::runtime
