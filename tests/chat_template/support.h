// Rendering in one call, for tests.
#pragma once

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "runtime/chat_template/chat_template.h"
#include "tests/chat_template/fixed_time.h"

namespace sterna::runtime {

using Json = nlohmann::ordered_json;

// The text, or "error: " and the message.
inline std::string render(std::string source, const Json& context, TemplateLimits limits = {}) {
  limits.clock = fixed_time;
  const auto parsed = ChatTemplate::parse(std::move(source), "test", std::move(limits));
  if (!parsed) return "error: " + parsed.error().message;
  const auto text = parsed->render(context);
  return text ? *text : "error: " + text.error().message;
}

}  // namespace sterna::runtime
