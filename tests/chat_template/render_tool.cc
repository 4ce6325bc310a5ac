// Renders templates for differential.py: JSON lines {"template": ..., "context": {...}} on stdin, one line
// {"rendered": ..., "segments": [[text, from_template] ...]} or {"error": ...} for each on stdout. The clock
// stands at 2024-07-26 14:03:05.
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "runtime/chat_template/chat_template.h"
#include "tests/chat_template/fixed_time.h"

namespace {

using Json = nlohmann::ordered_json;
using sterna::runtime::ChatTemplate;

Json render(const Json& request) {
  sterna::runtime::TemplateLimits limits;
  limits.clock = sterna::runtime::fixed_time;
  auto parsed = ChatTemplate::parse(request["template"].get<std::string>(), "test", limits);
  if (!parsed) return {{"error", parsed.error().message}};
  auto rendered = parsed->render(request["context"]);
  auto segments = parsed->render_segments(request["context"]);
  if (!rendered) return {{"error", rendered.error().message}};
  Json answer = {{"rendered", *rendered}, {"segments", Json::array()}};
  for (const auto& segment : *segments) answer["segments"].push_back({segment.text, segment.from_template});
  return answer;
}

}  // namespace

int main() {
  std::string line;
  while (std::getline(std::cin, line)) {
    const Json request = Json::parse(line, nullptr, false);
    if (request.is_discarded()) return 1;
    std::cout << render(request).dump() << std::endl;
  }
  return 0;
}
