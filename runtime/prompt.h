// From text or a conversation to the ids that a model expects: its own template, its own BOS rule, and
// special tokens only where the template, not a person, wrote them.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/model.h"

namespace sterna::runtime {

// Plain text with the tokenizer's own special tokens (BOS) around it; nothing in `text` is taken for a
// special token.
Result<std::vector<TokenId>> encode_text(const Model& model, std::string_view text);

// A conversation through the model's chat template. BOS comes from the template where it writes it, else from
// the tokenizer.
Result<std::vector<TokenId>> encode_chat(const Model& model, std::span<const ChatMessage> messages,
                                         bool add_generation_prompt);

// The token that the tokenizer puts in front of every text (BOS); none if it puts none.
std::optional<TokenId> beginning_of_text(const Tokenizer& tokenizer);

}  // namespace sterna::runtime
