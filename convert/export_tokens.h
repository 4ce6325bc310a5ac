// A tokenizer as llama.cpp's files describe it: a list of tokens, and the name of a way to split texts.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "convert/gguf_writer.h"
#include "runtime/config.h"
#include "runtime/model.h"
#include "runtime/result.h"

namespace sterna::convert {

// llama.cpp's name for how a byte-level pipeline (TokenizerSpec::pipeline) splits texts: "llama-bpe",
// "smaug-bpe" (the same without ignore_merges), "qwen2", "gpt-2" or "smollm"; empty for any other way.
std::string peer_pre_tokenizer(std::string_view pipeline);

// The keys "tokenizer.*". Rows of the embedding that no token has become unused tokens, as llama.cpp counts
// tokens by rows. `pre_tokenizer` overrides peer_pre_tokenizer() unless it is empty; `notes` gets what
// llama.cpp does differently. Errors: a byte-level tokenizer that splits texts in a way without a name,
// merges of tokens with spaces, a tokenizer with byte fallback that does not mark spaces as SentencePiece
// does.
Status add_token_keys(GgufHeader& header, const runtime::ModelConfig& config, const runtime::TextParts& text,
                      const std::string& where, const std::string& pre_tokenizer,
                      std::vector<std::string>& notes);

}  // namespace sterna::convert
