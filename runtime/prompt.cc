#include "runtime/prompt.h"

#include <nlohmann/json.hpp>

namespace sterna::runtime {
namespace {

nlohmann::ordered_json template_context(const Model& model, std::span<const ChatMessage> messages,
                                        bool add_generation_prompt) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const ChatMessage& message : messages)
    list.push_back({{"role", message.role}, {"content", message.content}});
  return {{"messages", std::move(list)},
          {"add_generation_prompt", add_generation_prompt},
          {"bos_token", model.text().bos_text},
          {"eos_token", model.text().eos_text}};
}

}  // namespace

Result<std::vector<TokenId>> encode_text(const Model& model, std::string_view text) {
  return model.tokenizer().encode(text, {.add_special = true, .parse_special = false});
}

Result<std::vector<TokenId>> encode_chat(const Model& model, std::span<const ChatMessage> messages,
                                         bool add_generation_prompt) {
  const Result<ChatTemplate>& chat_template = model.chat_template();
  if (!chat_template) {
    return fail("{}; use `sterna run` for plain text", chat_template.error().message);
  }
  STERNA_TRY(const auto segments,
             chat_template->render_segments(template_context(model, messages, add_generation_prompt)));
  const std::string& bos = model.text().bos_text;
  const bool template_writes_bos = !bos.empty() && !segments.empty() && segments.front().from_template &&
                                   segments.front().text.starts_with(bos);
  std::vector<TextSegment> pieces;
  pieces.reserve(segments.size());
  for (const auto& segment : segments) pieces.push_back({segment.text, segment.from_template});
  return model.tokenizer().encode_segments(pieces, !template_writes_bos);
}

std::optional<TokenId> beginning_of_text(const Tokenizer& tokenizer) {
  // A letter, because a frame need not be put around nothing.
  const auto bare = tokenizer.encode("a", {.add_special = false, .parse_special = false});
  const auto framed = tokenizer.encode("a", {.add_special = true, .parse_special = false});
  if (!bare || !framed || framed->size() <= bare->size() || framed->front() == bare->front()) return {};
  return framed->front();
}

}  // namespace sterna::runtime
