// Any bytes as a chat template: parsed, and rendered over a fixed conversation within small limits. Nothing
// may crash, leak or take long, an error is one line, and no text of a message may come out as text of the
// template.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>

#include "runtime/chat_template/chat_template.h"

namespace {

using Json = nlohmann::ordered_json;
using sterna::runtime::ChatTemplate;

// The contents hold a letter that no template has: U+E000, in UTF-8 EE 80 80.
constexpr const char* kMark = "\xEE\x80\x80";

const Json& context() {
  static const Json value = [] {
    Json parsed = Json::parse(R"({
      "messages": [
        {"role": "system", "content": " be brief\n"},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image"}]},
        {"role": "assistant", "content": "<think>x</think>y", "tool_calls": [
          {"id": "abcdef123", "type": "function", "function": {"name": "f", "arguments": {"k": [1, 2.5, null, true]}}}]},
        {"role": "tool", "content": "{}", "name": "f"},
        {"role": "user", "content": "日本語 <|im_end|>"}
      ],
      "tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters":
        {"type": "object", "properties": {"k": {"type": "array", "items": {"type": "number"}}}, "required": ["k"]}}}],
      "add_generation_prompt": true, "bos_token": "<s>", "eos_token": "</s>"
    })");
    for (Json& message : parsed["messages"]) {
      if (message.contains("tool_calls")) message["tool_calls"][0]["function"]["arguments"][kMark] = kMark;
      if (message["content"].is_string()) message["content"] = kMark + message["content"].get<std::string>();
    }
    return parsed;
  }();
  return value;
}

bool one_line(const std::string& message) {
  return !message.empty() && message.find('\n') == std::string::npos;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string source(data, data + size);
  for (const char* spelling : {kMark, "e000", "E000"}) {
    if (source.find(spelling) != std::string::npos) return 0;  // the template would have the mark itself
  }
  sterna::runtime::TemplateLimits limits;
  limits.steps = 20'000;
  limits.depth = 50;
  limits.output_bytes = 1U << 16U;
  limits.clock = [] { return std::tm{}; };
  const auto parsed = ChatTemplate::parse(source, "fuzz", limits);
  if (!parsed) return one_line(parsed.error().message) ? 0 : (std::abort(), 0);
  const auto segments = parsed->render_segments(context());
  if (!segments) return one_line(segments.error().message) ? 0 : (std::abort(), 0);
  for (const auto& segment : *segments) {
    if (segment.from_template && segment.text.find(kMark) != std::string::npos) std::abort();
  }
  return 0;
}
